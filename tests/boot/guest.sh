#!/bin/busybox sh
# The init of the test guest. It does with the kernel's arguments what an installer's first stage does, and tells on
# the console what came of it, a line each: "GUEST what value".
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
exec </dev/console >/dev/console 2>&1
say() {
    echo "GUEST $*"
}
say started
say arguments "$(cat /proc/cmdline)"
if [ -d /sys/firmware/efi ]; then say firmware uefi; else say firmware bios; fi
if dmesg | grep -qi 'secure boot enabled\|Secure boot enabled\|locked down from EFI Secure Boot'; then say secure yes; else say secure no; fi
while read -r module; do
    insmod "/lib/modules/$module" 2>/dev/null
done </lib/modules/order

argument() {
    tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p" | tail -n 1
}

# The disk with a label, as hd:LABEL=... names it.
device=
source=$(argument inst.stage2)
if [ -n "$source" ]; then
    label=${source#hd:LABEL=}
    tries=0
    while [ $tries -lt 50 ]; do
        for name in /sys/block/*; do
            name=${name##*/}
            # Where ISO 9660 has the volume id; this busybox has no blkid.
            found=$(dd if="/dev/$name" bs=8 skip=4101 count=4 2>/dev/null | tr -d ' ')
            [ "$found" = "$label" ] && device=/dev/$name
        done
        [ -n "$device" ] && break
        sleep 0.2
        tries=$((tries + 1))
    done
    if mount -t iso9660 -o ro "$device" /mnt; then
        say medium "$device $(head -n 1 /mnt/.discinfo)"
    else
        say medium none "$(ls /sys/block)"
    fi
fi

kickstart=$(argument inst.ks)
case $kickstart in
http://* | https://*)
    cat >/bin/leased <<'SCRIPT'
#!/bin/sh
case $1 in
bound | renew)
    ip addr flush dev "$interface"
    ip addr add "$ip/${mask:-24}" dev "$interface"
    [ -n "$router" ] && ip route add default via "$router"
    echo "nameserver $dns" >/etc/resolv.conf
    echo "$ip $hostname" >/tmp/lease
    ;;
esac
SCRIPT
    chmod +x /bin/leased
    wanted=$(argument BOOTIF)
    chosen=
    number=0
    tries=0
    while [ $tries -lt 25 ] && [ "$(echo /sys/class/net/*)" = /sys/class/net/lo ]; do
        sleep 0.2
        tries=$((tries + 1))
    done
    set --
    for interface in /sys/class/net/*; do
        interface=${interface##*/}
        [ "$interface" = lo ] && continue
        address=$(cat "/sys/class/net/$interface/address")
        ip link set "$interface" up
        set -- "$@" --header "X-RHN-Provisioning-MAC-$number: $interface $address"
        number=$((number + 1))
        if [ -z "$chosen" ] || [ "01-$(echo "$address" | tr : -)" = "$wanted" ]; then chosen=$interface; fi
    done
    udhcpc -i "$chosen" -n -q -t 20 -T 1 -s /bin/leased >/dev/null 2>&1
    say lease "$(cat /tmp/lease)"
    wget -q -O /tmp/kickstart "$@" --header "X-Anaconda-Architecture: $(uname -m)" \
        --header "X-Anaconda-System-Release: rollbuild" "$kickstart"
    say kickstart "$(sha256sum </tmp/kickstart | cut -c1-64)"
    ;;
hd:LABEL=*:* | cdrom:*)
    say kickstart "$(sha256sum <"/mnt${kickstart##*:}" | cut -c1-64)"
    ;;
file:*)
    say kickstart "$(sha256sum <"${kickstart#file:}" | cut -c1-64)"
    ;;
esac
say 'done'
poweroff -f
