# Chooses the disk to install on and writes /tmp/rb-storage.ks, which the Kickstart includes.
#
# In: os_disk (names, the first that is here counts; empty: look for one), os_disk_min (GiB), partitioning (keep
# or wipe), and /tmp/rb-layout with lines of
#   MOUNT-POINT SIZE LABEL [keep]   SIZE in MiB or grow; 0 leaves it out; keep: a reinstall does not format it
#   foreign wipe|refuse             what to do with a disk that holds something else
# A disk of an earlier install is known by the labels of its file systems, which all begin with rb.

say() { printf 'disks: %s\n' "$*"; }

mounts=() sizes=() labels=() kept=() found=()
foreign=wipe
while read -r mount size label keep; do
    case $mount in
    '' | '#'*) continue ;;
    foreign) foreign=$size ;;
    *)
        if [ "$size" != 0 ]; then
            mounts+=("$mount") sizes+=("$size") labels+=("$label") kept+=("${keep:-no}") found+=("")
        fi
        ;;
    esac
done </tmp/rb-layout

# What `reqpart` adds takes 1 MiB on BIOS, and on UEFI 600, or at least 500 where there is little room.
firmware=4
if [ -d /sys/firmware/efi ]; then
    firmware=504
fi

# needed: sets `need`, the MiB that the layout takes without what is found and kept.
needed() {
    local i
    need=$firmware
    for i in "${!mounts[@]}"; do
        if [ -z "${found[i]}" ]; then
            case ${sizes[i]} in
            grow) need=$((need + 1024)) ;;
            *) need=$((need + sizes[i])) ;;
            esac
        fi
    done
}

# Every block device is an index of these.
names=() types=() bytes=() removable=() fixed=() buses=() tags=() formats=() tables=() mounted=() parents=()

# column NAME LINE: sets `value` to one column of a line of `lsblk -P`.
column() {
    local pattern="(^| )$1=\"([^\"]*)\""
    value=''
    if [[ $2 =~ $pattern ]]; then
        value=${BASH_REMATCH[2]}
    fi
}

udevadm settle
all=$(lsblk -bnPo NAME,TYPE,SIZE,RM,RO,TRAN,LABEL,FSTYPE,PTTYPE,MOUNTPOINT,PKNAME)
while read -r line; do
    [ -n "$line" ] || continue
    column NAME "$line" && names+=("$value")
    column TYPE "$line" && types+=("$value")
    column SIZE "$line" && bytes+=("${value:-0}")
    column RM "$line" && removable+=("$value")
    column RO "$line" && fixed+=("$value")
    column TRAN "$line" && buses+=("$value")
    column LABEL "$line" && tags+=("$value")
    column FSTYPE "$line" && formats+=("$value")
    column PTTYPE "$line" && tables+=("$value")
    column MOUNTPOINT "$line" && mounted+=("$value")
    column PKNAME "$line" && parents+=("$value")
done <<<"$all"

# children DISK: sets `inside` to what lies directly on a device.
children() {
    local i
    inside=()
    for i in "${!names[@]}"; do
        if [ "${parents[i]}" = "${names[$1]}" ]; then
            inside+=("$i")
        fi
    done
}

# is_ours DISK: whether an earlier install of this layout is on it.
is_ours() {
    local i label
    children "$1"
    for i in "${inside[@]}"; do
        for label in "${labels[@]}"; do
            if [ "${tags[i]}" = "$label" ]; then
                return 0
            fi
        done
    done
    return 1
}

# refusal DISK: sets `reason` to why it cannot be used, even when os_disk names it; to nothing when it can.
refusal() {
    local i
    reason=''
    children "$1"
    for i in "$1" "${inside[@]}"; do
        if [ -n "${mounted[i]}" ]; then
            reason="is in use: ${names[i]} is mounted on ${mounted[i]}"
            return
        fi
        case " ${labels[*]} $partitioning " in
        *" ${tags[i]:-none} "* | *" wipe "*) ;;
        *)
            if [[ ${tags[i]} == rb* ]]; then
                reason="holds ${tags[i]}, which this appliance does not know: partitioning=wipe allows to overwrite it"
                return
            fi
            ;;
        esac
    done
    needed
    if [ "${types[$1]}" != disk ]; then
        reason="is no disk but ${types[$1]}"
    elif [ "${fixed[$1]}" = 1 ]; then
        reason="can only be read"
    elif is_ours "$1"; then
        return
    elif [ $((bytes[$1] / 1048576)) -lt "$need" ]; then
        reason="is too small: the layout needs $need MiB"
    elif [ "$foreign" = refuse ] && [ "$partitioning" != wipe ] &&
        [ -n "${formats[$1]}${tables[$1]}${inside[*]}" ]; then
        reason="is not empty: partitioning=wipe allows to overwrite it"
    fi
}

# objection DISK: sets `reason` to why it is not to be chosen unless os_disk names it; to nothing when it may be.
objection() {
    local i
    reason=''
    case ${names[$1]} in
    zram* | loop* | sr* | fd* | pmem* | md* | dm-* | nbd*)
        reason="is none that a host is installed on"
        return
        ;;
    esac
    case ${buses[$1]} in
    usb | iscsi | fc | fcoe)
        reason="is attached by ${buses[$1]}"
        return
        ;;
    esac
    if [ "${removable[$1]}" = 1 ]; then
        reason="is removable"
        return
    fi
    children "$1"
    for i in "$1" "${inside[@]}"; do
        case ${formats[i]} in
        *_raid_member | mpath_member)
            reason="is part of an array"
            return
            ;;
        esac
        if [[ ${tags[i]} == rbkeep* ]]; then
            reason="is not to be touched: ${tags[i]}"
            return
        fi
    done
    if ! is_ours "$1" && [ $((bytes[$1] / 1073741824)) -lt "$os_disk_min" ]; then
        reason="is smaller than os_disk_min, $os_disk_min GiB"
    fi
}

disk=''

choose_named() {
    local word name i
    for word in ${os_disk//,/ }; do
        name=$(lsblk -dnro NAME "/dev/${word#/dev/}" 2>/dev/null) || name=''
        for i in "${!names[@]}"; do
            if [ -z "$disk" ] && [ "${names[i]}" = "$name" ]; then
                disk=$i
            fi
        done
    done
    [ -n "$disk" ] || rb_fail "none of the disks that os_disk names is here: $os_disk"
    refusal "$disk"
    [ -z "$reason" ] || rb_fail "os_disk names ${names[disk]}, which $reason"
}

choose_any() {
    local i also='' owned=() free=()
    for i in "${!names[@]}"; do
        [ -z "${parents[i]}" ] || continue
        objection "$i"
        if [ -z "$reason" ]; then
            refusal "$i"
        fi
        if [ -n "$reason" ]; then
            say "${names[i]} $reason"
        elif is_ours "$i"; then
            owned+=("$i")
            also+=${also:+ }${names[i]}
        else
            free+=("${bytes[i]} ${names[i]} $i")
        fi
    done
    if [ "${#owned[@]}" -gt 1 ]; then
        rb_fail "${#owned[@]} disks carry an earlier install ($also): name one in os_disk"
    fi
    disk=${owned[0]:-}
    if [ -z "$disk" ] && [ "${#free[@]}" -gt 0 ]; then
        read -r _ _ disk < <(printf '%s\n' "${free[@]}" | sort -k1,1n -k2,2V)
    fi
    [ -n "$disk" ] || rb_fail "no disk fits; the lines above say why"
}

if [ -n "$os_disk" ]; then
    choose_named
else
    choose_any
fi
target=${names[disk]}

# What is kept, and what goes.
old=() kept_size=0 is_kept=''
children "$disk"
for part in "${inside[@]}"; do
    match=''
    if [ "$partitioning" = keep ]; then
        for i in "${!mounts[@]}"; do
            if [ "${kept[i]}" = keep ] && [ "${tags[part]}" = "${labels[i]}" ]; then
                match=$i
            fi
        done
    fi
    if [ -n "$match" ]; then
        [ -z "${found[match]}" ] || rb_fail "${found[match]} and ${names[part]} both carry the label ${labels[match]}"
        found[match]=${names[part]}
        is_kept=yes
        kept_size=$((kept_size + bytes[part] / 1048576))
    else
        old+=("${names[part]}")
    fi
done

# A file system that is to be kept must be readable at all.
for i in "${!mounts[@]}"; do
    if [ -n "${found[i]}" ]; then
        mkdir -p /tmp/rb-check
        mount -o ro "/dev/${found[i]}" /tmp/rb-check ||
            rb_fail "${found[i]}, which is to be kept as ${mounts[i]}, cannot be mounted: repair it, or set partitioning=wipe"
        umount /tmp/rb-check
    fi
done
needed
room=$((bytes[disk] / 1048576 - kept_size))
[ "$room" -ge "$need" ] || rb_fail "$target has room for $room MiB, but the layout needs $need MiB"

# Signatures of old arrays and volume groups would come back to life inside the new partitions.
wipe() {
    local part group
    local -a found_inside
    children "$disk"
    found_inside=("${inside[@]}")
    for part in "${found_inside[@]}" "$disk"; do
        case ${formats[part]} in
        LVM2_member)
            group=$(pvs --noheadings -o vg_name "/dev/${names[part]}" 2>/dev/null) || group=''
            group=${group// /}
            [ -z "$group" ] || vgchange -an "$group"
            ;;
        linux_raid_member)
            children "$part"
            for group in "${inside[@]}"; do
                case ${types[group]} in
                raid*) mdadm --stop "/dev/${names[group]}" ;;
                esac
            done
            ;;
        esac
        wipefs -a "/dev/${names[part]}"
    done
}

# part_line INDEX: the partition as a Kickstart command.
part_line() {
    local line="part ${mounts[$1]}"
    if [ -n "${found[$1]}" ]; then
        line+=" --onpart=${found[$1]} --noformat"
    else
        case ${mounts[$1]} in
        swap) ;;
        *) line+=" --fstype=xfs" ;;
        esac
        case ${sizes[$1]} in
        grow) line+=" --size=1024 --grow" ;;
        *) line+=" --size=${sizes[$1]}" ;;
        esac
        line+=" --ondisk=$target --label=${labels[$1]}"
    fi
    if [ "${kept[$1]}" = keep ]; then
        # A data disk that died must not keep the host from booting.
        line+=' --fsoptions="defaults,nofail,x-systemd.device-timeout=30"'
    fi
    printf '%s\n' "$line"
}

{
    echo "ignoredisk --only-use=$target"
    if [ -z "$is_kept" ]; then
        echo "zerombr"
        echo "clearpart --all --initlabel --disklabel=gpt --drives=$target"
    elif [ "${#old[@]}" -gt 0 ]; then
        joined=$(printf '%s,' "${old[@]}")
        echo "clearpart --list=${joined%,}"
    else
        echo "clearpart --none"
    fi
    echo "reqpart"
    for i in "${!mounts[@]}"; do
        part_line "$i"
    done
} >/tmp/rb-storage.ks

if [ -z "$is_kept" ]; then
    say "$target is overwritten"
    wipe
    udevadm settle
else
    say "$target is installed anew, and keeps ${found[*]}"
fi
cat /tmp/rb-storage.ks
mkdir -p /tmp/pre-anaconda-logs
cp /tmp/rb-storage.ks /tmp/pre-anaconda-logs/
rb_event pre-done "$(tr '\n' ';' </tmp/rb-storage.ks)"
