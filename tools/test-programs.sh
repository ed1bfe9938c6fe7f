#!/bin/sh
# Installs the programs that some tests need: those that check the files that the shipped rolls write, those that build
# and read packages and images, graphviz, a browser, and for the boot tests QEMU.
# Without them those tests are skipped, with the program's name. Needs root; starts no service.
set -eu

say() {
    printf 'test programs: %s\n' "$*" >&2
}

# program, or a file as Debian has it; package on Debian, package on Enterprise Linux (some are in EPEL only)
table='
/usr/lib/ISOLINUX/isohdpfx.bin         isolinux            syslinux
/usr/lib/grub/i386-pc/boot_hybrid.img  grub-pc-bin         grub2-pc-modules
/usr/lib/grub/x86_64-efi/normal.mod    grub-efi-amd64-bin  grub2-efi-x64-modules
/usr/lib/ipxe/qemu/efi-virtio.rom      ipxe-qemu           ipxe-roms-qemu
/usr/lib/polkit-1/polkitd              polkitd             polkit
/usr/share/seabios/bios-256k.bin       seabios             seabios-bin
bash                   bash                bash
busybox                busybox-static      busybox
checkisomd5            isomd5sum           isomd5sum
chromium               chromium            chromium
chronyd                chrony              chrony
cpio                   cpio                cpio
createrepo_c           createrepo-c        createrepo_c
curl                   curl                curl
dbus-daemon            dbus-daemon         dbus-daemon
dnf                    dnf                 dnf
dnsmasq                dnsmasq-base        dnsmasq
dot                    graphviz            graphviz
exportfs               nfs-kernel-server   nfs-utils
fail2ban-client        fail2ban            fail2ban
firewall-offline-cmd   firewalld           firewalld
genisoimage            genisoimage         genisoimage
gpg                    gnupg               gnupg2
grub-mkimage           grub-common         grub2-tools
grub-script-check      grub-common         grub2-tools
initdb                 postgresql          postgresql-server
ip                     iproute2            iproute
kea-dhcp4              kea-dhcp4-server    kea
libvirtd               libvirt-daemon-system libvirt-daemon
logrotate              logrotate           logrotate
lz4                    lz4                 lz4
mcopy                  mtools              mtools
mke2fs                 e2fsprogs           e2fsprogs
mkfs.vfat              dosfstools          dosfstools
mmdebstrap             mmdebstrap          mmdebstrap
modprobe               kmod                kmod
munged                 munge               munge
nginx                  nginx-light         nginx
nmcli                  network-manager     NetworkManager
openssl                openssl             openssl
pgrep                  procps              procps-ng
promtool               prometheus          golang-github-prometheus
qemu-system-x86_64     qemu-system-x86     qemu-kvm
rpm2cpio               rpm2cpio            rpm
rpmbuild               rpm                 rpm-build
rpmsign                rpm                 rpm-sign
rsyslogd               rsyslog             rsyslog
scontrol               slurm-client        slurm
slurmctld              slurmctld           slurm-slurmctld
slurmd                 slurmd              slurm-slurmd
smartd                 smartmontools       smartmontools
ssh                    openssh-client      openssh-clients
sshd                   openssh-server      openssh-server
sysctl                 procps              procps-ng
systemd-analyze        systemd             systemd
tmux                   tmux                tmux
virsh                  libvirt-clients     libvirt-client
virt-xml-validate      libvirt-clients     libvirt-client
xmllint                libxml2-utils       libxml2
xorriso                xorriso             xorriso
'
manager=$(command -v apt-get || command -v dnf || true)
manager=${manager##*/}
wanted=$(
    printf '%s\n' "$table" | while read -r program debian enterprise; do
        case $program in
        /*) [ ! -e "$program" ] || continue ;;
        *) ! PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null 2>&1 || continue ;;
        esac
        if [ -n "$program" ]; then
            case $manager in
            dnf) echo "${enterprise%(*}" ;;
            *) echo "$debian" ;;
            esac
        fi
    done | sort -u | tr '\n' ' '
)
if [ -n "$wanted" ]; then
    if [ -z "$manager" ] || [ "$(id -u)" != 0 ]; then
        say "error: missing: $wanted"
        exit 3
    fi
    say "installing with $manager: $wanted"
    # shellcheck disable=SC2086  # a list of package names
    case $manager in
    apt-get)
        # In runlevel 1 the packages' scripts start no service.
        export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
        { apt-get update -q && apt-get install -qy --no-install-recommends $wanted; } >&2
        ;;
    dnf) dnf install -qy $wanted >&2 ;;
    esac
fi
# sshd -t wants the folder that its service makes.
if [ "$(id -u)" = 0 ]; then
    mkdir -p /run/sshd
fi
