# What of an earlier install is kept, what goes, and whether there is room: fails here, or nothing can go wrong.

# partition_of DISK LABEL-OR-TYPE: sets `at` to the partition of a disk with this label, or of this GPT type.
partition_of() {
    local i
    at=''
    children "$1"
    for i in "${inside[@]}"; do
        if [ "${tags[i]}" = "$2" ] || [ "${uses[i]}" = "$2" ]; then
            at=$i
        fi
    done
}

# structure_of DEVICE: sets `structure` to the disk_layout that has a file system in such a place.
structure_of() {
    local i
    structure=plain
    if [ "${types[$1]}" != part ]; then
        structure=other
    fi
    if [ "${types[$1]}" = lvm ]; then
        structure=lvm
        for i in "${!names[@]}"; do
            if [ "${names[i]}" = "${parents[$1]}" ] && [[ ${types[i]} == raid* ]]; then
                structure=raid1
            fi
        done
    fi
}

if [ "$disk_layout" != plain ] && [[ " ${mounts[*]} " != *" /boot "* ]]; then
    rb_fail "the layout of this appliance has no /boot, which disk_layout=$disk_layout needs"
fi

old=() kept_size=0 is_kept=''
for target in "${disks[@]}"; do
    below "$target"
    for part in "${inside[@]}"; do
        match=''
        if [ "$partitioning" = keep ] && [ "${formats[part]}" != linux_raid_member ]; then
            for i in "${!mounts[@]}"; do
                if [ "${tags[part]}" = "${labels[i]}" ] && { [ "${kept[i]}" = keep ] || [ "$disk_layout" != plain ]; }; then
                    match=$i
                fi
            done
        fi
        if [ -n "$match" ]; then
            if [ -n "${found[match]}" ] && [ "${found[match]}" != "${names[part]}" ]; then
                rb_fail "${found[match]} and ${names[part]} both carry the label ${labels[match]}"
            fi
            found[match]=${names[part]}
            if [ "${kept[match]}" = keep ]; then
                structure_of "$part"
                [ "$structure" = "$disk_layout" ] ||
                    rb_fail "${names[part]} is to be kept, but not in a way that disk_layout=$disk_layout can: set it to what it was, or partitioning=wipe"
                is_kept=yes
                kept_size=$((kept_size + bytes[part] / 1048576))
            fi
        elif [ "${parents[part]}" = "${names[target]}" ]; then
            old+=("${names[part]}")
        fi
    done
done
if [ -z "$is_kept" ]; then
    # Without anything to keep, all is made anew.
    for i in "${!mounts[@]}"; do
        found[i]=''
    done
fi

# A file system that is to be kept must be readable at all.
for i in "${!mounts[@]}"; do
    if [ -n "${found[i]}" ] && [ "${kept[i]}" = keep ]; then
        device=/dev/${found[i]}
        if [ "$disk_layout" != plain ]; then
            device=/dev/mapper/${found[i]}
        fi
        mkdir -p /tmp/rb-check
        mount -o ro "$device" /tmp/rb-check ||
            rb_fail "${found[i]}, which is to be kept as ${mounts[i]}, cannot be mounted: repair it, or set partitioning=wipe"
        umount /tmp/rb-check
    fi
done

# The volume group must be that of these disks alone: a second one of this name would be taken for it.
for name in $volumes; do
    for i in "${!names[@]}"; do
        if [ "${names[i]}" = "$name" ] && [[ " ${disks[*]} " != *" ${roots[i]} "* ]]; then
            if [ "$disk_layout" != plain ] || [ -n "$is_kept" ]; then
                rb_fail "the volume group rb of an earlier install is also on ${names[${roots[i]}]}: disconnect or wipe that disk"
            fi
        fi
    done
done

needed
if [ "$disk_layout" = plain ] || [ -z "$is_kept" ]; then
    for target in "${disks[@]}"; do
        room=$((bytes[target] / 1048576 - kept_size))
        [ "$room" -ge "$need" ] || rb_fail "${names[target]} has room for $room MiB, but the layout needs $need MiB"
    done
else
    # The partitions stay as they are, so they must suit this firmware and this layout.
    esp=c12a7328-f81f-11d2-ba4b-00a0c93ec93b other=BIOS
    if [ "$disk_layout" = raid1 ]; then
        esp=rbefi
    fi
    if [ -z "$uefi" ]; then
        esp=21686148-6449-6e6f-744e-656564454649 other=UEFI
    fi
    for target in "${disks[@]}"; do
        partition_of "$target" "$esp"
        [ -n "$at" ] ||
            rb_fail "the earlier install on ${names[target]} was for $other: change the firmware back, or set partitioning=wipe"
    done
    esp_at=$at
    room=$(vgs --noheadings --units m --nosuffix -o vg_free rb)
    room=${room//[^0-9.]/}
    room=${room%%.*}
    more=0
    for i in "${!mounts[@]}"; do
        if [ -z "${found[i]}" ]; then
            [ "${mounts[i]}" != /boot ] || rb_fail "there is no ${labels[i]} for /boot any more: set partitioning=wipe"
            [ "${sizes[i]}" != grow ] || sizes[i]=1024
            more=$((more + sizes[i]))
        fi
    done
    [ "${room:-0}" -ge "$more" ] || rb_fail "the volume group rb has room for ${room:-0} MiB, but the layout needs $more MiB more"
fi

# The disks for data: one that holds an earlier /state/partitionN stays that, a blank one becomes the next.
case $wipe_data_disks in
yes | true | on | 1) overwrite_data=yes ;;
*) overwrite_data='' ;;
esac
data_new=() data_numbers=()
for i in "${!data[@]}"; do
    device=${data[i]}
    [ -n "$device" ] || continue
    [ "${types[device]}" = disk ] && [ "${fixed[device]}" != 1 ] ||
        rb_fail "${names[device]}, one of data_disks, is no disk that can be written"
    number=$((i + 2))
    is_data='' full=''
    below "$device"
    for inner in "$device" "${inside[@]}"; do
        [ -z "${mounted[inner]}" ] || rb_fail "${names[inner]} on one of data_disks is mounted on ${mounted[inner]}"
        if [[ ${tags[inner]} =~ ^rbstate([2-9]|[1-9][0-9]+)$ ]]; then
            is_data=yes
            number=${BASH_REMATCH[1]}
        fi
        if [ -n "${formats[inner]}${tables[inner]}" ] || [ "$inner" != "$device" ]; then
            full=yes
        fi
    done
    [[ " ${data_numbers[*]} " != *" $number "* ]] || rb_fail "two of data_disks would be /state/partition$number"
    data_numbers+=("$number")
    if [ -n "$full" ] && [ -z "$overwrite_data" ] && [ -z "$is_data" ]; then
        rb_fail "${names[device]}, one of data_disks, is not empty: wipe_data_disks=yes overwrites all of them"
    elif [ -n "$overwrite_data" ] || [ -z "$is_data" ]; then
        data_new+=("$device $number")
    fi
done
