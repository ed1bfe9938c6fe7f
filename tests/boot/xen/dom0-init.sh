#!/bin/bash
# The first process of the test's VM container: what systemd would start there, and no more. No service manager, so that
# it is up within seconds under emulation.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/xen-4.17/bin
say() {
    echo "CONTAINER $*"
}
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
# Xen's scripts lock by /dev/fd and read /dev/stdin, which udev would have made.
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mkdir -p /run/lock /run/xen /run/sshd /run/libvirt /run/dbus /var/log/xen/console /var/log/libvirt/libxl /var/lib/xen \
    /var/lib/libvirt /etc/libvirt/libxl/autostart
name=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^container=//p')
hostname "${name:-vm-container-0-0}"
for module in xenfs xen-evtchn xen-gntdev xen-gntalloc xen-privcmd virtio_net bridge; do
    modprobe "$module"
done
mount -t xenfs xenfs /proc/xen
ip link set lo up
ip link add xenbr.eth0 type bridge
for path in /sys/class/net/*; do
    device=${path##*/}
    case $device in
    lo | xenbr.eth0) ;;
    *)
        ip link set "$device" up
        ip link set "$device" master xenbr.eth0
        ;;
    esac
done
ip link set xenbr.eth0 up
ip address add 10.0.2.4/24 dev xenbr.eth0
ip route add default via 10.0.2.2
/usr/sbin/sshd
modprobe -a xen-netback xen-blkback loop tun
xenstored --pid-file /run/xenstored.pid
for _ in $(seq 50); do
    xenstore-read -s / >/dev/null 2>&1 && break
    sleep 0.1
done
xen-init-dom0
xenconsoled --log=all --pid-file=/run/xenconsoled.pid
dbus-daemon --system --fork
libvirtd -d
say ready
trap 'sync; mount -o remount,ro /; echo o >/proc/sysrq-trigger' TERM USR1
trap 'sync; mount -o remount,ro /; echo b >/proc/sysrq-trigger' USR2
while :; do
    sleep 1 &
    wait -n
done
