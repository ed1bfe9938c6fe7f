# Publishes the front end's own users and groups for the hosts, signed. Where nothing changed, nothing is written.
#
# In: uid_min, uid_max, shadow_on_hosts.
# Out, in /export/install: accounts/accounts, accounts/accounts.sig, keys/accounts.pem, and with shadow_on_hosts
# accounts/hashes, which is encrypted. The first is lines of a word and the rest of the line:
#
#   rollbuild-accounts 1         what it is, and its version
#   serial NUMBER                grows with each change; hosts take nothing older than what they have
#   hashes SHA256                the encrypted file that belongs to it
#   group, passwd, shadow LINE   lines of these files
set -euo pipefail
export LC_ALL=C
umask 077
private=/etc/rollbuild/accounts
public=/export/install/accounts
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$private" "$public" /export/install/keys
chmod 0755 "$public" /export/install/keys

# Two runs at once would use one serial twice.
exec 9>"$private/lock"
flock 9

if [ ! -s "$private/key.pem" ]; then
    openssl genrsa -out "$work/key.pem" 3072 2>/dev/null
    cp "$work/key.pem" "$private/key.pem.new"
    mv -f "$private/key.pem.new" "$private/key.pem"
fi
openssl rsa -in "$private/key.pem" -pubout -out "$work/accounts.pem" 2>/dev/null

cat >"$work/select.awk" <<'AWK'
function in_range(id) { return id ~ /^[1-9][0-9]*$/ && length(id) < 11 && id + 0 >= min && id + 0 <= max }
function say(why) { printf "%s\n", why > "/dev/stderr" }
BEGIN { FS = ":" }
kind == "group" && in_range($3) {
    if ($1 !~ /^[A-Za-z_][A-Za-z0-9_.-]*$/ || length($1) > 32 || NF != 4) {
        say("the group " $1 " is left out: its name or its line is not fit for all hosts")
        next
    }
    print "group " $1 ":x:" $3 ":" $4
}
kind == "passwd" && in_range($3) {
    if ($1 !~ /^[A-Za-z_][A-Za-z0-9_.-]*[$]?$/ || length($1) > 32 || NF != 7) {
        say("the user " $1 " is left out: the name or the line is not fit for all hosts")
        next
    }
    if (!in_range($4)) {
        say("the user " $1 " is left out: the group " $4 " is not from " min " to " max)
        next
    }
    print "passwd " $1 ":x:" $3 ":" $4 ":" $5 ":" $6 ":" $7
    user[$1] = 1
}
# An account that has expired is closed on the hosts too. The age of a password means nothing where there is none.
kind == "shadow" && $1 in user {
    print "shadow " $1 ":*::::::" $8 ":"
    print > hashes
}
AWK
: >"$work/hashes"
awk -v min="$uid_min" -v max="$uid_max" -v hashes="$work/hashes" -f "$work/select.awk" \
    kind=group /etc/group kind=passwd /etc/passwd kind=shadow /etc/shadow >"$work/lines" 2>"$work/left-out"

secret=''
case $shadow_on_hosts in
yes | true | on | y | 1)
    secret=/etc/rollbuild/secrets/accounts.key
    if [ ! -s "$secret" ]; then
        mkdir -p /etc/rollbuild/secrets
        openssl rand -hex 32 >"$secret.new"
        mv -f "$secret.new" "$secret"
    fi
    ;;
*) : >"$work/hashes" ;;
esac

state=$(cat "$work/lines" "$work/hashes" "$work/accounts.pem" ${secret:+"$secret"} | sha256sum)
if [ "$(cat "$private/published" 2>/dev/null)" = "$state" ] &&
    cmp -s "$work/accounts.pem" /export/install/keys/accounts.pem &&
    openssl dgst -sha256 -verify "$work/accounts.pem" -signature "$public/accounts.sig" "$public/accounts" \
        >/dev/null 2>&1; then
    exit 0
fi

last=$(cat "$private/serial" 2>/dev/null || echo 0)
serial=$(date +%s)
if [ "$serial" -le "$last" ]; then
    serial=$((last + 1))
fi
{
    echo 'rollbuild-accounts 1'
    echo "serial $serial"
    if [ -n "$secret" ]; then
        openssl enc -aes-256-cbc -pbkdf2 -iter 100000 -pass "file:$secret" -in "$work/hashes" -out "$work/encrypted"
        printf 'hashes %s\n' "$(sha256sum <"$work/encrypted" | cut -d ' ' -f 1)"
    fi
    cat "$work/lines"
} >"$work/accounts"
openssl dgst -sha256 -sign "$private/key.pem" -out "$work/accounts.sig" "$work/accounts"

# publish FILE TARGET: in its place by one rename. Between two of them a host sees a signature that does not fit, and
# tries again.
publish() {
    cp "$1" "$2.new"
    chmod 0644 "$2.new"
    mv -f "$2.new" "$2"
}
echo "$serial" >"$private/serial"
publish "$work/accounts.pem" /export/install/keys/accounts.pem
if [ -n "$secret" ]; then
    publish "$work/encrypted" "$public/hashes"
else
    rm -f "$public/hashes"
fi
publish "$work/accounts.sig" "$public/accounts.sig"
publish "$work/accounts" "$public/accounts"
printf '%s\n' "$state" >"$private/published"
restorecon -RF "$public" /export/install/keys/accounts.pem
cat "$work/left-out"
echo "published: $(grep -c '^passwd ' "$work/accounts" || :) users, serial $serial"
