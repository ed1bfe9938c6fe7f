# Makes the host start from either disk of its mirror.

# members_of MOUNT-POINT: the partitions below a file system, through arrays and volumes.
members_of() {
    local source
    source=$(findmnt -nro SOURCE "$1")
    lsblk -nrso NAME,TYPE "$source" | awk '$2 == "part" { print $1 }' | sort -u
}

# disk_of PARTITION: sets `disk` and `number`.
disk_of() {
    disk=$(lsblk -dnro PKNAME "/dev/$1")
    number=$(cat "/sys/class/block/$1/partition")
}

if [ ! -d /sys/firmware/efi ]; then
    for part in $(members_of /boot); do
        disk_of "$part"
        grub2-install "/dev/$disk"
    done
    exit 0
fi

loader=''
for file in /boot/efi/EFI/*/shimx64.efi; do
    case $file in
    */EFI/BOOT/* | *'*'*) ;;
    *) loader=${file#*/boot/efi} ;;
    esac
done
[ -n "$loader" ] || rb_fail "there is no boot loader on the EFI system partition"
for part in $(members_of /boot/efi); do
    disk_of "$part"
    id=$(lsblk -dnro PARTUUID "/dev/$part")
    entries=$(efibootmgr -v)
    if ! grep -qi "HD($number,GPT,$id" <<<"$entries"; then
        # Last in the order, so that the network stays first.
        order=$(sed -n 's/^BootOrder: //p' <<<"$entries")
        efibootmgr -q -C -d "/dev/$disk" -p "$number" -L "Linux on $disk" -l "${loader//\//\\}"
        entry=$(efibootmgr -v | sed -n "s/^Boot\([0-9A-F]\{4\}\).*HD($number,GPT,$id.*/\1/Ip" | head -n 1)
        efibootmgr -q -o "${order:+$order,}$entry"
    fi
done
