# Chooses the disk, or for raid1 the two disks: sets `disks` to their indices and `targets` to their names.

wanted=1
if [ "$disk_layout" = raid1 ]; then
    wanted=2
fi

# refusal DISK: sets `reason` to why it cannot be used, even when os_disk names it; to nothing when it can.
refusal() {
    local i
    reason=''
    below "$1"
    for i in "$1" "${inside[@]}"; do
        if [ -n "${mounted[i]}" ]; then
            reason="is in use: ${names[i]} is mounted on ${mounted[i]}"
            return
        fi
        if [[ ${tags[i]} == rb* ]] && [ "$partitioning" != wipe ] && ! is_label "${tags[i]}"; then
            reason="holds ${tags[i]}, which this appliance does not know: partitioning=wipe allows to overwrite it"
            return
        fi
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
    local i ours=''
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
    if [[ " $data_names " == *" ${names[$1]} "* ]]; then
        reason="is one of data_disks"
        return
    fi
    if is_ours "$1"; then
        ours=yes
    fi
    below "$1"
    for i in "$1" "${inside[@]}"; do
        case ${formats[i]}:$ours in
        *_raid_member: | mpath_member:*)
            reason="is part of an array"
            return
            ;;
        esac
        if [[ ${tags[i]} == rbkeep* ]]; then
            reason="is not to be touched: ${tags[i]}"
            return
        fi
    done
    if [ -z "$ours" ] && [ $((bytes[$1] / 1073741824)) -lt "$os_disk_min" ]; then
        reason="is smaller than os_disk_min, $os_disk_min GiB"
    fi
}

disks=()

choose_named() {
    local word i
    for word in ${os_disk//,/ }; do
        index_of "$word"
        if [ -n "$at" ] && [ "${#disks[@]}" -lt "$wanted" ] && [[ " ${disks[*]} " != *" $at "* ]]; then
            disks+=("$at")
        fi
    done
    case ${#disks[@]} in
    "$wanted") ;;
    0) rb_fail "none of the disks that os_disk names is here: $os_disk" ;;
    *) rb_fail "disk_layout=raid1 takes two disks, and of those that os_disk names only ${names[${disks[0]}]} is here" ;;
    esac
    for i in "${disks[@]}"; do
        refusal "$i"
        [ -z "$reason" ] || rb_fail "os_disk names ${names[i]}, which $reason"
    done
}

choose_any() {
    local i also='' owned=() free=() line
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
    if [ "${#owned[@]}" -gt "$wanted" ]; then
        rb_fail "${#owned[@]} disks carry an earlier install ($also): name one in os_disk"
    fi
    disks=("${owned[@]}")
    if [ "${#disks[@]}" = 1 ] && [ "$wanted" = 2 ]; then
        rb_fail "only $also carries an earlier install, and disk_layout=raid1 takes two disks: name both in os_disk"
    fi
    if [ "${#disks[@]}" = 0 ] && [ "${#free[@]}" -ge "$wanted" ]; then
        while read -r _ _ line; do
            if [ "${#disks[@]}" -lt "$wanted" ]; then
                disks+=("$line")
            fi
        done < <(printf '%s\n' "${free[@]}" | sort -k1,1n -k2,2V)
    fi
    case ${#disks[@]} in
    "$wanted") ;;
    *)
        if [ "${#free[@]}" = 1 ]; then
            rb_fail "disk_layout=raid1 takes two disks, and only one fits; the lines above say why"
        fi
        rb_fail "no disk fits; the lines above say why"
        ;;
    esac
}

# The disks for data, which are never chosen for the system.
data=() data_names=''
for word in ${data_disks//,/ }; do
    index_of "$word"
    if [ -n "$at" ]; then
        data+=("$at")
        data_names+="${names[at]} "
    else
        data+=("")
        say "$word, one of data_disks, is not here"
    fi
done

if [ -n "$os_disk" ]; then
    choose_named
else
    choose_any
fi
targets=()
for i in "${disks[@]}"; do
    targets+=("${names[i]}")
    [[ " $data_names " != *" ${names[i]} "* ]] || rb_fail "${names[i]} is both in os_disk and in data_disks"
done
