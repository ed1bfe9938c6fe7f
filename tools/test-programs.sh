#!/bin/sh
# Installs the programs that some tests need: checkers of configuration files, graphviz, a browser.
# Without them those tests are skipped, with the program's name. Needs root; starts no service.
set -eu

say() {
    printf 'test programs: %s\n' "$*" >&2
}

# program, package on Debian, package on Enterprise Linux (EPEL in parentheses)
table='
chronyd     chrony             chrony
chromium    chromium           chromium(EPEL)
dnsmasq     dnsmasq-base       dnsmasq
dot         graphviz           graphviz
logrotate   logrotate          logrotate
nft         nftables           nftables
nginx       nginx-light        nginx
openssl     openssl            openssl
rsyslogd    rsyslog            rsyslog
ssh         openssh-client     openssh-clients
sshd        openssh-server     openssh-server
'
manager=$(command -v apt-get || command -v dnf || true)
manager=${manager##*/}
wanted=$(
    printf '%s\n' "$table" | while read -r program debian enterprise; do
        if [ -n "$program" ] && ! PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null 2>&1; then
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
