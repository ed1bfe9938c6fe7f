#!/bin/busybox sh
# The init of the test guest when it boots from the network. It does with the kernel's arguments what an installer's
# first stage does: asks DHCP on the interface that BOOTIF names, then fetches what inst.stage2 and inst.ks name.
# A line each on the console tells what came of it: "GUEST what value". With test.install it goes on as installing.sh.
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
# A further initrd brings what an installer trusts.
if [ -f /etc/rollbuild/ca.pem ]; then
    say trusted "$(sha256sum </etc/rollbuild/ca.pem | cut -c1-64) $(grep -c BEGIN /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem)"
fi
if [ -d /sys/firmware/efi ]; then say firmware uefi; else say firmware bios; fi
if dmesg | grep -qi 'secure boot enabled\|locked down from EFI Secure Boot'; then say secure yes; else say secure no; fi
while read -r module; do
    insmod "/lib/modules/$module" 2>/dev/null
done </lib/modules/order

has() {
    grep -qw "$1" /proc/cmdline
}
argument() {
    tr ' ' '\n' </proc/cmdline | sed -n "s|^$1=||p" | tail -n 1
}

if ! has ip=dhcp; then
    say done
    poweroff -f
fi
cat >/bin/leased <<'SCRIPT'
#!/bin/sh
case $1 in
bound | renew)
    ip addr flush dev "$interface"
    ip addr add "$ip/${mask:-24}" dev "$interface"
    echo "$ip $hostname $router $dns $domain" >/tmp/lease
    ;;
esac
SCRIPT
chmod +x /bin/leased
wanted=$(argument BOOTIF)
tries=0
while [ $tries -lt 50 ] && ! ls /sys/class/net | grep -qv '^lo$'; do
    sleep 0.1
    tries=$((tries + 1))
done
chosen=
number=0
set --
for interface in $(ls /sys/class/net | grep -v '^lo$'); do
    address=$(cat "/sys/class/net/$interface/address")
    ip link set "$interface" up
    set -- "$@" --header "X-RHN-Provisioning-MAC-$number: $interface $address"
    number=$((number + 1))
    if [ "01-$(echo "$address" | tr : -)" = "$wanted" ]; then chosen=$interface; fi
done
has inst.ks.sendmac || set --
udhcpc -i "$chosen" -n -q -t 20 -T 1 -s /bin/leased >/dev/null 2>&1
say lease "$(cat /tmp/lease)"
set -- "$@" --header "X-Anaconda-Architecture: $(uname -m)" --header "X-Anaconda-System-Release: rollbuild"
say tree "$(wget -q -O - "$(argument inst.stage2)/.treeinfo" | sha256sum | cut -c1-64)"
if wget -q -O /tmp/kickstart "$@" "$(argument inst.ks)"; then
    say kickstart "$(sha256sum </tmp/kickstart | cut -c1-64)"
    if has test.install; then
        . /installing
        install
    fi
else
    say kickstart none
fi
say done
poweroff -f
