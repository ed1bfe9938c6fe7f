# Fetches the secrets of this host into /etc/rollbuild/secrets.
#
# In: server, folder (the front end and the path of its public files), host, require_secrets, given_ca (whether
# /etc/rollbuild/ca.pem came with the Kickstart), and rb_token of /etc/rollbuild/install.conf.
# The answer is a tar of plain files without folders. It is given out once.

secrets=/etc/rollbuild/secrets
url=https://$server:8443/secrets/$host
work=$(mktemp -d /etc/rollbuild/fetch.XXXXXX)
trap 'rm -rf "$work"' EXIT

# without REASON: ends this script, and the install where it must not go on without secrets.
without() {
    if [ -d "$secrets" ]; then
        echo "secrets: those of an earlier run stay: $1"
        exit 0
    fi
    case $require_secrets in
    yes | true | on | y | 1) rb_fail "secrets: $1, and require_secrets is set" ;;
    esac
    echo "secrets: this host has none: $1"
    exit 0
}

[ -n "$rb_token" ] || without "install_token is empty"
if [ "$given_ca" = no ]; then
    curl --fail --silent --show-error --max-time 20 --retry 3 --output "$work/ca.pem" "http://$server/$folder/ca.pem" ||
        without "the front end has no certificate at http://$server/$folder/ca.pem"
    cp "$work/ca.pem" /etc/rollbuild/ca.pem
    chmod 0644 /etc/rollbuild/ca.pem
fi

# The token goes in by a pipe, so that no list of processes shows it.
(
    umask 077
    curl --fail --silent --show-error --proto =https --max-time 60 --retry 3 --max-filesize 1048576 \
        --cacert /etc/rollbuild/ca.pem --header @<(printf 'X-RB-Token: %s\n' "$rb_token") \
        --output "$work/bundle.tar" "$url"
) || without "$url gave nothing"

# Plain files with plain names: nothing that could be written through, or outside of the folder.
tar --list --verbose --file "$work/bundle.tar" >"$work/kinds" || rb_fail "secrets: $url did not give a tar"
tar --list --file "$work/bundle.tar" >"$work/names"
if grep -v '^-' "$work/kinds" | grep -qv '^d.* \./$'; then
    rb_fail "secrets: $url gave something else than plain files"
fi
bad=$(grep -vE '^(\./)?([A-Za-z0-9][A-Za-z0-9._-]*)?$' "$work/names" || :)
[ -z "$bad" ] || rb_fail "secrets: $url gave a name that is not allowed: $(head -n 1 <<<"$bad")"

(
    umask 077
    mkdir -p "$work/new" "$secrets"
    tar --extract --file "$work/bundle.tar" --directory "$work/new" --no-same-owner --no-same-permissions
    chmod 0700 "$secrets"
    for file in "$work"/new/*; do
        [ -f "$file" ] || continue
        chmod 0600 "$file"
        mv -f "$file" "$secrets/"
        echo "secrets: got ${file##*/}"
    done
)
restorecon -RF /etc/rollbuild
