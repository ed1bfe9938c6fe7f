#!/bin/busybox sh
# The init of a virtual machine. With inst.ks= it is an installer: it fetches its Kickstart as Anaconda's first stage
# does, reports what the Kickstart's scripts would, writes the disk image at test.disk= on its disk, leaves the
# Kickstart in it and reboots. Else it is the system on that disk: it reports its first boot, and shows each second
# that it is the same one still, that disk and network are there, and what loaded it. What is typed it repeats.
# A line each on the console: "GUEST what value".
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
exec </dev/console >/dev/console 2>&1
stty -echo
say() {
    echo "GUEST $*"
}
argument() {
    tr ' ' '\n' </proc/cmdline | sed -n "s|^$1=||p" | tail -n 1
}
rb_url='' rb_host='' rb_token=''
boot=$(cut -c1-8 /proc/sys/kernel/random/boot_id)
say started "$boot"
for list in order order-system; do
    while read -r module; do
        insmod "/lib/modules/$module" 2>/dev/null
    done <"/lib/modules/$list"
done
# The power button: libvirt asks so for a shutdown.
mkdir -p /etc/acpi/PWRF /var/log /var/run
printf '#!/bin/sh\necho GUEST poweroff >/dev/console\nsync\npoweroff -f\n' >/etc/acpi/PWRF/00000080
chmod +x /etc/acpi/PWRF/00000080

cat >/bin/leased <<'SCRIPT'
#!/bin/sh
case $1 in
bound | renew)
    ifconfig "$interface" "$ip" netmask "$subnet"
    if [ -n "$router" ]; then route add default gw "$router"; fi
    echo "$ip $hostname" >/tmp/lease
    ;;
esac
SCRIPT
chmod +x /bin/leased
# one_of PATH...: the first that is there, which may take a moment.
one_of() {
    for _ in $(seq 100); do
        for path; do
            if [ -e "$path" ]; then
                echo "$path"
                return
            fi
        done
        usleep 100000
    done
}
if [ -n "$(one_of /dev/input/event0)" ]; then acpid; fi
interface=$(one_of /sys/class/net/e*)
interface=${interface##*/}
mac=$(cat "/sys/class/net/$interface/address")
ifconfig "$interface" up
udhcpc -i "$interface" -n -q -t 20 -T 1 -s /bin/leased >/dev/null 2>&1
say lease "$mac $(cat /tmp/lease)"
disk=$(one_of /dev/vda /dev/xvda /dev/sda)

# read_kickstart FILE: what the Kickstart's scripts have for their reports.
read_kickstart() {
    for name in rb_url rb_host rb_token; do
        eval "$name=\$(sed -n \"s/^$name='\(.*\)'\$/\1/p\" '$1' | head -n 1)"
    done
}
report() {
    for pause in 1 2 4 0; do
        if wget -q -O /dev/null --header "X-RB-Token: $rb_token" \
            --post-data "host=$rb_host&stage=$1&detail=test" "$rb_url"; then
            say reported "$1"
            return
        fi
        sleep $pause
    done
    say unreported "$1"
}

kickstart=$(argument inst.ks)
if [ -n "$kickstart" ]; then
    if ! wget -q -O /tmp/kickstart --header "X-RHN-Provisioning-MAC-0: $interface $mac" \
        --header "X-Anaconda-Architecture: $(uname -m)" --header 'X-Anaconda-System-Release: rollbuild' "$kickstart"; then
        say kickstart none
        sleep 600
        poweroff -f
    fi
    say kickstart "$(sha256sum </tmp/kickstart | cut -c1-64)"
    read_kickstart /tmp/kickstart
    report pre-start
    if ! { wget -q -O /tmp/disk "$(argument test.disk)" && dd if=/tmp/disk of="$disk" bs=1M 2>/dev/null && sync &&
        blockdev --rereadpt "$disk" && mount -t ext2 "$(one_of "${disk}1")" /mnt; }; then
        say disk failed
        report failed
        poweroff -f
    fi
    cp /tmp/kickstart /mnt/root/anaconda-ks.cfg
    umount /mnt
    sync
    report post-done
    say installed
    reboot -f
fi
if mount -t ext2 "$(one_of "${disk}1")" /mnt && [ -s /mnt/root/anaconda-ks.cfg ]; then
    say disk "$(sha256sum </mnt/root/anaconda-ks.cfg | cut -c1-64)"
    read_kickstart /mnt/root/anaconda-ks.cfg
    report first-boot
else
    say disk none
fi
server=${rb_url#*//}
server=${server%%/*}
server=${server%%:*}
number=0
while :; do
    number=$((number + 1))
    echo "$boot $number" >/mnt/root/number
    sync
    echo 3 >/proc/sys/vm/drop_caches
    stored=no reached=no
    [ "$(cat /mnt/root/number)" != "$boot $number" ] || stored=yes
    ! ping -c 1 -W 1 "$server" >/dev/null || reached=yes
    say alive "$boot $number" "disk=$stored network=$reached loader=$(argument BOOT_IMAGE)"
    sleep 1
done &
while read -r line; do
    say heard "$line"
done
sleep 86400
