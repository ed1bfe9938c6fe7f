# Functions for the scripts of an install. The file that `rb_settings` names holds what differs from host to host.
set -eEuo pipefail

rb_url='' rb_host='' rb_token='' rb_on_error=hold rb_ca=''
if [ -r "$rb_settings" ]; then
    # shellcheck source=/dev/null
    . "$rb_settings"
fi

# rb_post URL OPTION...: one request to the front end, whose authority is known where rb_ca is a file. The token goes
# in by a pipe, so that no list of processes shows it.
rb_post() {
    local url=$1 trust=()
    shift
    if [ -s "$rb_ca" ]; then
        trust=(--cacert "$rb_ca")
    fi
    no_proxy='*' curl --fail --silent --show-error --retry 3 --output /dev/null \
        --header @<(printf 'X-RB-Token: %s\n' "$rb_token") "${trust[@]}" "$@" "$url"
}

# rb_event STAGE [DETAIL]: tells the front end how far this install is. Never an error: a report that gets lost
# is no reason to stop an install. rb_url may name several places; the first that takes it is enough. A web server that
# starts again at this moment refuses connections or drops them (7, 52 and 56 of curl, which retries none of these):
# were the last report lost, the host would install again.
rb_event() {
    local url pause code=0
    for pause in 1 2 4 0; do
        for url in $rb_url; do
            rb_post "$url" --max-time 10 --data-urlencode "host=$rb_host" --data-urlencode "stage=$1" \
                --data-urlencode "detail=${2:-}" && return 0
            code=$?
        done
        case $code in
        7 | 52 | 56) sleep "$pause" ;;
        *) return 0 ;;
        esac
    done
    return 0
}

# rb_logs FILE...: sends those that are there to the front end, which keeps them. Never an error. Other places than
# the front end, where reports go to .../events/, get none.
rb_logs() {
    local url file files=()
    for file; do
        [ ! -s "$file" ] || files+=("$file")
    done
    [ "${#files[@]}" -gt 0 ] || return 0
    for url in $rb_url; do
        case $url in
        */events/) ;;
        *) continue ;;
        esac
        tar -czf - "${files[@]}" 2>/dev/null | head -c 8388608 |
            rb_post "${url%/events/}/logs/$rb_host" --max-time 60 --header 'Content-Type: application/gzip' \
                --data-binary @- && return 0
    done
    return 0
}

# rb_fail MESSAGE: reports first, because Anaconda only shows a dialog or nothing at all, then ends the install.
rb_fail() {
    trap - ERR
    printf 'rollbuild: install failed: %s\n' "$1" >&2
    { printf '\nrollbuild: install failed: %s\n' "$1" >/dev/console; } 2>/dev/null || :
    rb_event failed "$1"
    rb_logs /tmp/*.log /tmp/syslog /tmp/anaconda-tb-* /var/log/dnf*.log
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
