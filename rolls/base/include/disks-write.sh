# Writes /tmp/rb-storage.ks, and wipes what is not to come back to life.

commas() {
    local IFS=,
    joined="$*"
}

# size_of INDEX: sets `size` to the options of a new partition or volume.
size_of() {
    size="--size=${sizes[$1]}"
    if [ "${sizes[$1]}" = grow ]; then
        size="--size=1024 --grow"
    fi
}

# format_of INDEX: sets `format` to the options for its file system.
format_of() {
    format='--fstype=xfs '
    if [ "${mounts[$1]}" = swap ]; then
        format=''
        if [ "$disk_layout" != plain ]; then
            format='--fstype=swap '
        fi
    fi
}

# keep_options INDEX: sets `options`: a data disk that died must not keep the host from booting.
keep_options() {
    options=''
    if [ "${kept[$1]}" = keep ]; then
        options=' --fsoptions="defaults,nofail,x-systemd.device-timeout=30"'
    fi
}

# part_line INDEX: the partition as a Kickstart command.
part_line() {
    size_of "$1"
    format_of "$1"
    keep_options "$1"
    if [ -n "${found[$1]}" ] && [ "${kept[$1]}" = keep ]; then
        echo "part ${mounts[$1]} --onpart=${found[$1]} --noformat$options"
    elif [ -n "${found[$1]}" ]; then
        echo "part ${mounts[$1]} --onpart=${found[$1]} $format--label=${labels[$1]}$options"
    else
        echo "part ${mounts[$1]} $format$size --ondisk=${targets[0]} --label=${labels[$1]}$options"
    fi
}

# volume_line INDEX: the same as a volume of the group rb; rbroot is the volume root.
volume_line() {
    local line="logvol ${mounts[$1]} --vgname=rb"
    size_of "$1"
    format_of "$1"
    keep_options "$1"
    if [ -n "${found[$1]}" ] && [ "${kept[$1]}" = keep ]; then
        echo "$line --name=${found[$1]#rb-} --useexisting --noformat$options"
    elif [ -n "${found[$1]}" ]; then
        echo "$line --name=${found[$1]#rb-} --useexisting $format--label=${labels[$1]}$options"
    else
        echo "$line --name=${labels[$1]#rb} $format$size --label=${labels[$1]}$options"
    fi
}

# mirror MOUNT NAME NUMBER OPTIONS SIZE: an array of two partitions, one on each disk.
mirror() {
    echo "part raid.${3}1 $5 --ondisk=${targets[0]}"
    echo "part raid.${3}2 $5 --ondisk=${targets[1]}"
    echo "raid $1 --device=$2 --level=RAID1 $4raid.${3}1 raid.${3}2"
}

clearing() {
    commas "${targets[@]}"
    if [ -z "$is_kept" ]; then
        echo "zerombr"
        echo "clearpart --all --initlabel --disklabel=gpt --drives=$joined"
    elif [ "$disk_layout" = plain ] && [ "${#old[@]}" -gt 0 ]; then
        commas "${old[@]}"
        echo "clearpart --list=$joined"
    else
        echo "clearpart --none"
    fi
}

# Boot partitions, and where the volume group goes.
foundation() {
    local i boot
    for i in "${!mounts[@]}"; do
        if [ "${mounts[i]}" = /boot ]; then
            boot=$i
        fi
    done
    case $disk_layout:${is_kept:-new} in
    lvm:new)
        echo "reqpart"
        part_line "$boot"
        echo "part pv.01 --size=1024 --grow --ondisk=${targets[0]}"
        echo "volgroup rb pv.01"
        ;;
    lvm:yes)
        [ -z "$uefi" ] || echo "part /boot/efi --onpart=${names[esp_at]} --fstype=efi"
        part_line "$boot"
        echo "volgroup rb --useexisting --noformat"
        ;;
    raid1:new)
        if [ -n "$uefi" ]; then
            mirror /boot/efi rbefi 1 "--fstype=efi " --size=600
        else
            # The word biosboot may stand only once; a partition of this type is one by any other name.
            echo "part biosboot --fstype=biosboot --size=1 --ondisk=${targets[0]}"
            echo "part None --fstype=biosboot --size=1 --ondisk=${targets[1]}"
        fi
        mirror /boot rbboot 2 "--fstype=xfs --label=${labels[boot]} " "--size=${sizes[boot]}"
        mirror pv.01 rbpv 3 "" "--size=1024 --grow"
        echo "volgroup rb pv.01"
        ;;
    raid1:yes)
        [ -z "$uefi" ] || echo "raid /boot/efi --device=rbefi --useexisting --fstype=efi"
        echo "raid /boot --device=rbboot --useexisting --fstype=xfs --label=${labels[boot]}"
        echo "volgroup rb --useexisting --noformat"
        ;;
    esac
}

{
    commas "${targets[@]}"
    echo "ignoredisk --only-use=$joined"
    clearing
    if [ "$disk_layout" = plain ]; then
        echo "reqpart"
        for i in "${!mounts[@]}"; do
            part_line "$i"
        done
    else
        foundation
        for i in "${!mounts[@]}"; do
            if [ "${mounts[i]}" != /boot ]; then
                volume_line "$i"
            fi
        done
    fi
} >/tmp/rb-storage.ks

# wipe DISK...: signatures of old arrays and volume groups would come back to life inside the new partitions.
wipe() {
    local disk i group stopped=' '
    for disk in "$@"; do
        below "$disk"
        for i in "$disk" "${inside[@]}"; do
            if [ "${formats[i]}" = LVM2_member ]; then
                group=$(pvs --noheadings -o vg_name "/dev/${names[i]}" 2>/dev/null) || group=''
                group=${group// /}
                [ -z "$group" ] || vgchange -an "$group"
            fi
        done
        for i in "${inside[@]}"; do
            if [[ ${types[i]} == raid* && $stopped != *" ${names[i]} "* ]]; then
                stopped+="${names[i]} "
                wipefs -a "/dev/${names[i]}"
                mdadm --stop "/dev/${names[i]}"
            fi
        done
        children "$disk"
        for i in "${inside[@]}" "$disk"; do
            wipefs -a "/dev/${names[i]}"
        done
    done
}

if [ -z "$is_kept" ]; then
    say "${targets[*]}: overwritten"
    wipe "${disks[@]}"
else
    say "${targets[*]}: installed anew; what stays is ${found[*]}"
    if [ "$disk_layout" != plain ]; then
        vgchange -an rb
    fi
fi
# The installer never sees the disks for data: it might put its boot loader there.
for word in "${data_new[@]}"; do
    read -r i number <<<"$word"
    say "${names[i]}: overwritten, for /state/partition$number"
    wipe "$i"
    device=/dev/${names[i]}
    printf 'label: gpt\n,\n' | sfdisk --wipe always --wipe-partitions always "$device"
    udevadm settle
    if [[ $device =~ [0-9]$ ]]; then
        device+=p
    fi
    mkfs.xfs -q -f -L "rbstate$number" "${device}1"
done
for number in "${data_numbers[@]}"; do
    # One that died must not keep the host from booting.
    echo "LABEL=rbstate$number /state/partition$number xfs defaults,nofail,x-systemd.device-timeout=30 0 0"
done >/tmp/rb-data
udevadm settle
cat /tmp/rb-storage.ks
mkdir -p /tmp/pre-anaconda-logs
cp /tmp/rb-storage.ks /tmp/pre-anaconda-logs/
rb_event pre-done "$(tr '\n' ';' </tmp/rb-storage.ks)"
