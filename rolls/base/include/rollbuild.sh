# Functions for the scripts of an install. The file that `rb_settings` names holds what differs from host to host.
set -eEuo pipefail

rb_url='' rb_host='' rb_token='' rb_on_error=hold
if [ -r "$rb_settings" ]; then
    # shellcheck source=/dev/null
    . "$rb_settings"
fi

# rb_event STAGE [DETAIL]: tells the front end how far this install is. Never an error: a report that gets lost
# is no reason to stop an install.
rb_event() {
    [ -n "$rb_url" ] || return 0
    # The token goes in by a pipe, so that no list of processes shows it.
    no_proxy='*' curl --fail --silent --show-error --max-time 10 --retry 3 --output /dev/null \
        --header @<(printf 'X-RB-Token: %s\n' "$rb_token") \
        --data-urlencode "host=$rb_host" --data-urlencode "stage=$1" --data-urlencode "detail=${2:-}" \
        "$rb_url" || :
}

# rb_fail MESSAGE: reports first, because Anaconda only shows a dialog or nothing at all, then ends the install.
rb_fail() {
    trap - ERR
    printf 'rollbuild: install failed: %s\n' "$1" >&2
    { printf '\nrollbuild: install failed: %s\n' "$1" >/dev/console; } 2>/dev/null || :
    rb_event failed "$1"
    case $rb_on_error in
    reboot)
        sleep 60
        echo s >/proc/sysrq-trigger
        echo b >/proc/sysrq-trigger
        ;;
    poweroff)
        sleep 60
        echo s >/proc/sysrq-trigger
        echo o >/proc/sysrq-trigger
        ;;
    esac
    exit 1
}

trap 'rb_fail "line $LINENO: $BASH_COMMAND"' ERR
