# What the guest does after its Kickstart is fetched, with `test.install` in the kernel's arguments: it reports as the
# Kickstart's scripts do, puts a system on its disk, and reboots. `test.fail` has it report a failure instead;
# `test.wait=URL` has it wait between the stages until there is something at URL/STAGE.
#
# In: say, has, argument; /tmp/kickstart.

# value NAME: what the Kickstart's scripts have for their reports.
value() {
    sed -n "s/^$1='\(.*\)'$/\1/p" /tmp/kickstart | head -n 1
}

# report STAGE [DETAIL]: as `rb_event` of the roll base does: the first place that takes it is enough; three retries.
report() {
    for pause in 1 2 4 0; do
        for url in $rb_url; do
            if wget -q -O /dev/null --header "X-RB-Token: $rb_token" \
                --post-data "host=$rb_host&stage=$1&detail=${2:-}" "$url" 2>/tmp/wget; then
                say reported "$1 to ${url%%:*}"
                return
            fi
        done
        sleep $pause
    done
    say unreported "$1 $(tail -n 1 /tmp/wget)"
}

wait_at() {
    place=$(argument test.wait)
    [ -n "$place" ] || return 0
    say waiting "$1"
    until wget -q -O /dev/null "$place/$1" 2>/dev/null; do sleep 0.2; done
}

install() {
    rb_url=$(value rb_url) rb_host=$(value rb_host) rb_token=$(value rb_token)
    wait_at start
    report pre-start
    if has test.fail; then
        report failed 'no disk is large enough'
        say failed
        reboot -f
    fi
    report post-start
    wait_at post
    wget -q -O /tmp/disk "$(argument test.disk)" && dd if=/tmp/disk of=/dev/vda bs=1M 2>/dev/null || say disk failed
    sync
    report post-done
    say installed
    reboot -f
}
