#!/bin/sh
# Has dnsmasq or Kea take the files of a front end that lie below a folder, in a network namespace: what systemd does
# on a front end. Paths of the files become those below the folder.
# usage: serving.sh dnsmasq|kea FOLDER NAMESPACE; SERVING_WITHOUT: lines of dnsmasq's files that begin so are left out
set -eu
kind=$1 root=$2 network=$3
run=$root/run/$kind
mkdir -p "$run/conf"
# What is started here must not hold the lock: 9>&- below.
exec 9>"$run/lock"
flock 9
echo "$kind" >>"$run/restarts"
stop() {
    if [ -f "$run/pid" ]; then
        pid=$(cat "$run/pid")
        kill "$pid" 2>/dev/null || true
        while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
        rm -f "$run/pid"
    fi
}
case $kind in
dnsmasq)
    stop
    rm -f "$run/conf"/*
    for file in "$root"/etc/dnsmasq.d/*.conf; do
        sed -e "s#=/etc/rollbuild/#=$root/etc/rollbuild/#" -e "s#=/export/#=$root/export/#" -e '/^resolv-file=/d' \
            -e "/^${SERVING_WITHOUT:-resolv-file=}/d" "$file" >"$run/conf/${file##*/}"
    done
    ip netns exec "$network" dnsmasq --conf-file=/dev/null --conf-dir="$run/conf" --user=root --no-resolv \
        --pid-file="$run/pid" --dhcp-leasefile="$run/leases" --log-facility="$run/log" 9>&-
    ;;
kea)
    sed -e "s#/var/lib/kea/#$run/#" -e "s#\"syslog\"#\"$run/log\"#" "$root/etc/kea/kea-dhcp4.conf" >"$run/conf/kea.json"
    touch "$run/log"
    before=$(grep -c 'DHCP4_STARTED\|DYNAMIC_RECONFIGURATION_SUCCESS' "$run/log" || true)
    if [ -f "$run/pid" ]; then
        kill -HUP "$(cat "$run/pid")"
    else
        export KEA_PIDFILE_DIR="$run" KEA_LOCKFILE_DIR="$run"
        ip netns exec "$network" kea-dhcp4 -c "$run/conf/kea.json" </dev/null >/dev/null 2>&1 9>&- &
        echo $! >"$run/pid"
    fi
    for _ in $(seq 500); do
        now=$(grep -c 'DHCP4_STARTED\|DYNAMIC_RECONFIGURATION_SUCCESS' "$run/log" || true)
        [ "$now" = "$before" ] || exit 0
        sleep 0.02
    done
    tail -5 "$run/log" >&2
    exit 1
    ;;
stop-dnsmasq | stop-kea)
    run=$root/run/${kind#stop-}
    stop
    ;;
esac
