# Takes the front end's users and groups into /etc/passwd, group, shadow and gshadow. What is wrong with them leaves all
# four as they are. A second run changes nothing.
#
# In: url of the folder, uid_min and uid_max of this host.
set -euo pipefail
export LC_ALL=C
umask 077
key=/etc/rollbuild/accounts.pem
secret=/etc/rollbuild/secrets/accounts.key
state=/var/lib/rollbuild/accounts.serial
tables='group gshadow shadow passwd'
work=$(mktemp -d)
locked=()

leave() {
    local table
    for table in "${locked[@]}"; do
        rm -f "/etc/$table.lock"
    done
    rm -rf "$work"
}
trap leave EXIT

give_up() {
    printf 'accounts: %s; nothing is changed\n' "$1" >&2
    exit 1
}

fetch() {
    curl --fail --silent --show-error --max-time 30 --max-filesize 33554432 --output "$work/$1" "$url/$1"
}

# The front end replaces one file after the other: what does not fit now may fit in a moment.
fits=''
for _ in 1 2 3; do
    fetch accounts || give_up "$url/accounts cannot be fetched"
    fetch accounts.sig || give_up "$url/accounts.sig cannot be fetched"
    if openssl dgst -sha256 -verify "$key" -signature "$work/accounts.sig" "$work/accounts" >/dev/null 2>&1; then
        hash=$(sed -n 's/^hashes //p' "$work/accounts")
        if [ -z "$hash" ] || { fetch hashes && [ "$(sha256sum <"$work/hashes" | cut -d ' ' -f 1)" = "$hash" ]; }; then
            fits=yes
            break
        fi
    fi
    sleep 2
done
[ -n "$fits" ] || give_up "the signature of $url/accounts is not one of the key in $key"

: >"$work/clear"
if [ -n "$hash" ]; then
    if [ -s "$secret" ]; then
        openssl enc -d -aes-256-cbc -pbkdf2 -iter 100000 -pass "file:$secret" -in "$work/hashes" \
            -out "$work/clear" 2>/dev/null || give_up "the password hashes are not encrypted with $secret"
    else
        echo "accounts: there is no $secret, so users log in with keys only"
    fi
fi

cat >"$work/read.awk" <<'AWK'
function refuse(why) {
    printf "accounts: line %d of what the front end says: %s; nothing is changed\n", FNR, why > "/dev/stderr"
    exit 1
}
function is_number(id) { return id ~ /^[1-9][0-9]*$/ && length(id) < 11 }
function in_range(id) { return is_number(id) && id + 0 >= min && id + 0 <= max }
function check_name(name) {
    if (name !~ /^[A-Za-z_][A-Za-z0-9_.-]*[$]?$/ || length(name) > 32) refuse("a name is not fit")
}
kind == "passwd" || kind == "group" {
    split($0, part, ":")
    if (!in_range(part[3])) own[kind, part[1]] = 1
    next
}
/[[:cntrl:]]/ { refuse("it holds a character that is none") }
kind == "clear" {
    if (split($0, part, ":") != 9 || !(part[1] in user)) refuse("a password hash is not one of these users")
    hash[part[1]] = $0
    next
}
FNR == 1 {
    if ($0 != "rollbuild-accounts 1") refuse("it is not a list of accounts that this host can read")
    next
}
FNR == 2 {
    if ($1 != "serial" || !is_number($2)) refuse("there is no serial")
    print $2 > (work "/serial")
    next
}
{
    word = $1
    line = substr($0, length(word) + 2)
    fields = split(line, part, ":")
}
word == "hashes" { next }
word == "group" {
    check_name(part[1])
    if (fields != 4 || part[2] != "x" || part[4] ~ /[^A-Za-z0-9_.,$-]/) refuse("a group is malformed")
    if (!in_range(part[3])) refuse("the group " part[1] " is not from " min " to " max)
    if (("group", part[1]) in own) refuse("the group " part[1] " is one of this host")
    if (part[1] in group || part[3] in gid) refuse("the group " part[1] " or its number is there twice")
    group[part[1]] = gid[part[3]] = 1
    print line > (work "/group")
    print part[1] ":!::" part[4] > (work "/gshadow")
    next
}
word == "passwd" {
    check_name(part[1])
    if (fields != 7 || part[2] != "x" || part[6] !~ /^\// || part[7] !~ /^(\/.*)?$/) refuse("a user is malformed")
    if (!in_range(part[3]) || !in_range(part[4])) refuse("the user " part[1] " is not from " min " to " max)
    if (("passwd", part[1]) in own) refuse("the user " part[1] " is one of this host")
    if (part[1] in user || part[3] in uid) refuse("the user " part[1] " or its number is there twice")
    user[part[1]] = uid[part[3]] = 1
    print line > (work "/passwd")
    next
}
word == "shadow" {
    if (fields != 9 || part[2] != "*" || !(part[1] in user) || part[1] in shadow) refuse("a shadow line is malformed")
    shadow[part[1]] = line
    next
}
{ refuse("it begins with " word) }
END {
    for (name in user) {
        if (name in hash) print hash[name]
        else if (name in shadow) print shadow[name]
        else print name ":*:::::::"
    }
}
AWK
for table in $tables; do
    : >"$work/$table"
done
awk -v min="$uid_min" -v max="$uid_max" -v work="$work" -f "$work/read.awk" \
    kind=passwd /etc/passwd kind=group /etc/group kind=accounts "$work/accounts" kind=clear "$work/clear" \
    >"$work/unsorted" || exit 1
sort "$work/unsorted" >"$work/shadow"
[ -s "$work/serial" ] || give_up "$url/accounts is empty"

last=$(cat "$state" 2>/dev/null || echo 0)
serial=$(cat "$work/serial")
[ "$serial" -ge "$last" ] || give_up "$url/accounts is older ($serial) than what is here ($last)"

# The locks of useradd and its like: a file with the number of a process that is there.
for table in $tables; do
    [ -e "/etc/$table" ] || continue
    printf '%s' "$$" >"/etc/$table.$$"
    for try in 1 2 3 4 5 6 7 8 9 10 none; do
        if ln "/etc/$table.$$" "/etc/$table.lock" 2>/dev/null; then
            locked+=("$table")
            break
        fi
        holder=$(tr -cd 0-9 <"/etc/$table.lock" 2>/dev/null || :)
        if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
            rm -f "/etc/$table.lock"
        elif [ "$try" = none ]; then
            rm -f "/etc/$table.$$"
            give_up "process ${holder:-(unknown)} is editing /etc/$table"
        else
            sleep 1
        fi
    done
    rm -f "/etc/$table.$$"
done

# What this host has, without the numbers that are the front end's, and then what the front end says.
cat >"$work/keep.awk" <<'AWK'
function in_range(id) { return id ~ /^[0-9]+$/ && id + 0 >= min && id + 0 <= max }
BEGIN { FS = ":" }
kind == "gone" { gone[$1] = 1; next }
by == "number" && in_range($3) { next }
by == "name" && $1 in gone { next }
{ print }
AWK
keep() {
    awk -v min="$uid_min" -v max="$uid_max" -v by="$2" -f "$work/keep.awk" kind=gone "$3" kind=own "/etc/$1"
    cat "$work/$1"
}
names() {
    awk -F : -v min="$uid_min" -v max="$uid_max" '$3 ~ /^[0-9]+$/ && $3 + 0 >= min && $3 + 0 <= max { print $1 ":" }' \
        "/etc/$1" "$work/$1"
}
names passwd >"$work/users"
names group >"$work/groups"
for table in "${locked[@]}"; do
    case $table in
    passwd | group) keep "$table" number /dev/null ;;
    shadow) keep "$table" name "$work/users" ;;
    gshadow) keep "$table" name "$work/groups" ;;
    esac >"$work/$table.new"
done
grep -q '^root:[^:]*:0:0:' "$work/passwd.new" || give_up 'root would be lost'

changed=''
for table in "${locked[@]}"; do
    if ! cmp -s "$work/$table.new" "/etc/$table"; then
        # A copy of the old one has its mode, owner and label.
        cp -a "/etc/$table" "/etc/.$table.rollbuild"
        cat "$work/$table.new" >"/etc/.$table.rollbuild"
        sync "/etc/.$table.rollbuild"
        cp -a "/etc/$table" "/etc/$table.rollbuild-old"
        mv -f "/etc/.$table.rollbuild" "/etc/$table"
        changed=yes
    fi
done
mkdir -p "${state%/*}"
if [ "$serial" != "$last" ]; then
    printf '%s\n' "$serial" >"$state.new"
    mv -f "$state.new" "$state"
fi
if [ -n "$changed" ]; then
    if command -v sss_cache >/dev/null; then
        sss_cache -E 2>/dev/null || :
    fi
    echo "accounts: $(grep -c . "$work/passwd" || :) users of serial $serial"
fi
