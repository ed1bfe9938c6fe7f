#!/bin/busybox sh
# The init of a virtual machine. With inst.ks= it is an installer: it fetches its Kickstart as Anaconda's first stage
# does, reports the stages that the Kickstart's scripts would, puts a system on its disk and reboots. Else it is that
# system, and reports its first boot. On the console: "GUEST what value".
export PATH=/bin
/bin/busybox --install -s /bin
mkdir -p /sbin
for word in poweroff reboot; do
    # The kernel runs /sbin/poweroff when the hypervisor asks for it.
    printf '#!/bin/sh\necho GUEST %s >/dev/console\nexec /bin/busybox %s -f\n' $word $word >/sbin/$word
    chmod +x /sbin/$word
done
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
while read -r module; do
    insmod "/modules/$module" 2>/dev/null
done </modules/order
exec </dev/console >/dev/console 2>&1
say() {
    echo "GUEST $*"
}
argument() {
    tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p" | tail -n 1
}
say started "$(cut -d ' ' -f 1 /proc/uptime)"
say arguments "$(cat /proc/cmdline)"
cat >/bin/leased <<'SCRIPT'
#!/bin/sh
case $1 in
bound | renew)
    ifconfig "$interface" "$ip" netmask "$subnet"
    [ -n "$router" ] && route add default gw "$router"
    echo "nameserver $dns" >/etc/resolv.conf
    echo "$ip $hostname" >/tmp/lease
    ;;
esac
SCRIPT
chmod +x /bin/leased
device=
for path in /sys/class/net/*; do
    [ "${path##*/}" = lo ] || device=${path##*/}
done
if [ -n "$device" ]; then
    mac=$(cat "/sys/class/net/$device/address")
    ifconfig "$device" up
    # As installers do: again, until somebody answers.
    until [ -s /tmp/lease ]; do
        udhcpc -i "$device" -n -q -t 5 -T 2 -s /bin/leased >/dev/null 2>&1 || say lease none
    done
    say lease "$mac $(cat /tmp/lease)"
fi
disk=
for name in xvda vda sda; do
    [ -b "/dev/$name" ] && disk=/dev/$name && break
done

# fetch FILE URL [OPTION...]: again, as installers do. (wget -T of Debian's busybox ends in a fault.)
fetch() {
    file=$1 url=$2
    shift 2
    for pause in 1 2 4 8 16 0; do
        timeout 60 wget -q -O "$file" "$@" "$url" && return 0
        sleep $pause
    done
    return 1
}
# value NAME FILE: what the Kickstart's scripts have for their reports.
value() {
    sed -n "s/^$1='\(.*\)'$/\1/p" "$2" | head -n 1
}
report() {
    [ -n "$rb_url" ] || return 0
    if fetch /dev/null "$rb_url" --header "X-RB-Token: $rb_token" --post-data "host=$rb_host&stage=$1&detail=test"; then
        say reported "$1"
    else
        say unreported "$1"
    fi
}

kickstart=$(argument inst.ks)
if [ -n "$kickstart" ]; then
    if ! fetch /tmp/kickstart "$kickstart" --header "X-RHN-Provisioning-MAC-0: $device $mac" \
        --header "X-Anaconda-Architecture: $(uname -m)" --header 'X-Anaconda-System-Release: rollbuild'; then
        say kickstart none
        sleep 600
        poweroff -f
    fi
    say kickstart "$(sha256sum </tmp/kickstart | cut -c1-64)"
    for name in rb_url rb_host rb_token; do
        eval "$name=\$(value $name /tmp/kickstart)"
    done
    report pre-start
    if [ -n "$(argument test.hang)" ]; then
        say hanging
        sleep 3600
    fi
    tree=$(argument inst.stage2)
    [ -n "$tree" ] || tree=$(argument inst.repo)
    image=$(argument test.disk)
    if [ -n "$image" ]; then
        fetch "$disk" "$image" && sync || say disk failed
    else
        # For pygrub. As large as is needed: the tables of a large one take their time.
        mke2fs "$disk" 65536 >/dev/null 2>&1 && mount -t ext2 "$disk" /mnt || say disk failed
        mkdir -p /mnt/boot/grub /mnt/root
        cp /tmp/kickstart /mnt/root/anaconda-ks.cfg
        fetch /mnt/boot/vmlinuz "$tree/images/pxeboot/vmlinuz" && fetch /mnt/boot/initrd "$tree/images/pxeboot/initrd.img" ||
            say tree failed
        printf 'default 0\ntimeout 0\ntitle installed\n root (hd0)\n kernel /boot/vmlinuz console=hvc0 quiet installed=yes\n initrd /boot/initrd\n' \
            >/mnt/boot/grub/grub.conf
        umount /mnt
    fi
    sync
    report post-done
    say installed
    reboot -f
fi
if [ -n "$(argument installed)" ] && mount -t ext2 -o ro "$disk" /mnt; then
    say disk "$(sha256sum </mnt/root/anaconda-ks.cfg | cut -c1-64)"
    for name in rb_url rb_host rb_token; do
        eval "$name=\$(value $name /mnt/root/anaconda-ks.cfg)"
    done
    umount /mnt
    report first-boot
fi
say ready
while :; do
    setsid cttyhack sh
done
