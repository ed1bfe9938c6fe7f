# Reads the layout and looks at every block device.
#
# /tmp/rb-layout has lines of
#   MOUNT-POINT SIZE LABEL [keep]   SIZE in MiB or grow; 0 leaves it out; keep: a reinstall does not format it
#   foreign wipe|refuse             what to do with a disk that holds something else
# What an earlier install made is known by its labels, which all begin with rb, and by its volume group, rb.

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

# What the firmware wants takes 1 MiB on BIOS, and on UEFI 600, or at least 500 where there is little room.
uefi=''
firmware=4
if [ -d /sys/firmware/efi ]; then
    uefi=yes
    firmware=504
fi
# Volume groups and mirrors keep something for themselves.
case $disk_layout in
lvm) firmware=$((firmware + 64)) ;;
raid1) firmware=$((firmware + 612)) ;;
esac

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

# column NAME LINE: sets `value` to one column of a line of `lsblk -P`.
column() {
    local pattern="(^| )$1=\"([^\"]*)\""
    value=''
    if [[ $2 =~ $pattern ]]; then
        value=${BASH_REMATCH[2]}
    fi
}

# look: every block device becomes an index of these arrays; `roots` has the index of the disk that it lies on.
look() {
    local all line i
    local -A index=()
    names=() types=() bytes=() removable=() fixed=() buses=() tags=() formats=() tables=() uses=() mounted=()
    parents=() roots=()
    udevadm settle
    all=$(lsblk -bnPo NAME,TYPE,SIZE,RM,RO,TRAN,LABEL,FSTYPE,PTTYPE,PARTTYPE,MOUNTPOINT,PKNAME)
    while read -r line; do
        [ -n "$line" ] || continue
        column NAME "$line" && names+=("$value")
        column TYPE "$line" && types+=("$value")
        column SIZE "$line" && bytes+=("${value:-0}")
        column RM "$line" && removable+=("$value")
        column RO "$line" && fixed+=("$value")
        column TRAN "$line" && buses+=("$value")
        # A member of an array carries the name of the array, with the host that made it in front.
        column LABEL "$line" && tags+=("${value##*:}")
        column FSTYPE "$line" && formats+=("$value")
        column PTTYPE "$line" && tables+=("$value")
        column PARTTYPE "$line" && uses+=("${value,,}")
        column MOUNTPOINT "$line" && mounted+=("$value")
        column PKNAME "$line" && parents+=("$value")
    done <<<"$all"
    for i in "${!names[@]}"; do
        if [ -z "${index[${names[i]}]:-}" ]; then
            index[${names[i]}]=$i
        fi
        if [ -z "${parents[i]}" ]; then
            roots[i]=$i
        else
            roots[i]=${roots[${index[${parents[i]}]:-$i}]:-$i}
        fi
    done
}

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

# below DISK: sets `inside` to all that lies on a disk, at any depth.
below() {
    local i
    inside=()
    for i in "${!names[@]}"; do
        if [ "${roots[i]}" = "$1" ] && [ "$i" != "$1" ]; then
            inside+=("$i")
        fi
    done
}

# index_of WORD: sets `at` to the index of the device that an administrator named, or to nothing.
index_of() {
    local name i
    at=''
    name=$(lsblk -dnro NAME "/dev/${1#/dev/}" 2>/dev/null) || name=''
    for i in "${!names[@]}"; do
        if [ -z "$at" ] && [ "${names[i]}" = "$name" ]; then
            at=$i
        fi
    done
}

# is_label TEXT: whether it is a label of this layout.
is_label() {
    case " ${labels[*]} rbefi rbpv " in
    *" ${1:-none} "*) return 0 ;;
    esac
    return 1
}

# is_ours DISK: whether an earlier install of this layout is on it.
is_ours() {
    local i
    below "$1"
    for i in "${inside[@]}"; do
        if is_label "${tags[i]}" || [[ " $volumes " == *" ${names[i]} "* ]]; then
            return 0
        fi
    done
    return 1
}

look

# The devices below the volume group of an earlier install. Volumes and mirrors show what they hold once they run.
volumes=''
find_volumes() {
    volumes=$(pvs --noheadings -o pv_name,vg_name 2>/dev/null |
        awk '$2 == "rb" { sub("^/dev/", "", $1); printf "%s%s", separator, $1; separator = " " }') || volumes=''
}
if [ "$partitioning" = keep ]; then
    started=' '
    while read -r array; do
        if [[ $array =~ UUID=([0-9a-f:]+) ]]; then
            uuid=${BASH_REMATCH[1]}
            if [[ $array =~ /dev/md/(rb[a-z]+)( |$) ]]; then
                name=${BASH_REMATCH[1]}
                [[ $started != *" $name "* ]] || rb_fail "two mirrors of an earlier install are called $name: disconnect one"
                started+="$name "
                mdadm --assemble "/dev/md/$name" --uuid="$uuid" || say "the mirror $name runs already, or cannot"
            fi
        fi
    done < <(mdadm --examine --scan 2>/dev/null || :)
    find_volumes
    if [ -n "$volumes" ]; then
        vgchange -ay rb || rb_fail "the volume group rb of an earlier install cannot be started: set partitioning=wipe"
    fi
    look
fi
find_volumes
