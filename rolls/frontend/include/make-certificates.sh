# Makes the cluster's CA where there is none, and a server certificate where there is none, where it ends within two
# months, or where it is for other names. Run again, it changes nothing.
#
# In: cluster, short_name, domain, address, kickstart_host.
set -euo pipefail
umask 077
ca=/etc/rollbuild/ca
tls=/etc/rollbuild/tls
public=/export/install
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$ca" "$tls"

# What stands in a certificate must not end a line of the settings below.
cluster=$(printf '%s' "$cluster" | tr -c 'A-Za-z0-9 ._-' '-')

if [ ! -s "$ca/ca.key" ] || [ ! -s "$ca/ca.pem" ]; then
    cat >"$work/ca.conf" <<CONF
[req]
distinguished_name = name
x509_extensions = ca
prompt = no
[name]
CN = CA of ${cluster:0:50}
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
CONF
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/ca.key"
    openssl req -new -x509 -sha256 -days 7300 -config "$work/ca.conf" -key "$work/ca.key" -out "$work/ca.pem"
    cp "$work/ca.key" "$ca/ca.key.new"
    cp "$work/ca.pem" "$ca/ca.pem.new"
    mv -f "$ca/ca.key.new" "$ca/ca.key"
    mv -f "$ca/ca.pem.new" "$ca/ca.pem"
    echo 'a new CA is made: hosts take it at their next install'
fi
chmod 0600 "$ca/ca.key"
chmod 0644 "$ca/ca.pem"

names="DNS:$short_name.$domain,DNS:$short_name,IP:$address"
if [ "$kickstart_host" != "$address" ]; then
    case $kickstart_host in
    *[!0-9.]*) names="$names,DNS:$kickstart_host" ;;
    *) names="$names,IP:$kickstart_host" ;;
    esac
fi

if [ "$(cat "$tls/names" 2>/dev/null)" != "$names" ] || [ ! -s "$tls/server.key" ] ||
    ! openssl x509 -in "$tls/server.pem" -noout -checkend 5184000 >/dev/null 2>&1 ||
    ! openssl verify -CAfile "$ca/ca.pem" "$tls/server.pem" >/dev/null 2>&1; then
    cat >"$work/server.conf" <<CONF
[req]
distinguished_name = name
prompt = no
[name]
CN = ${short_name:0:60}
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = $names
CONF
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/server.key"
    openssl req -new -sha256 -config "$work/server.conf" -key "$work/server.key" -out "$work/server.csr"
    openssl x509 -req -sha256 -days 800 -in "$work/server.csr" -CA "$ca/ca.pem" -CAkey "$ca/ca.key" \
        -set_serial "0x$(openssl rand -hex 16 | tr 89a-f 0-7)" -extfile "$work/server.conf" -extensions server \
        -out "$work/server.pem" 2>"$work/log" || { cat "$work/log" >&2 && exit 1; }
    # The names are written last: a run that was cut short begins anew.
    rm -f "$tls/names"
    cp "$work/server.key" "$tls/server.key.new"
    cp "$work/server.pem" "$tls/server.pem.new"
    mv -f "$tls/server.key.new" "$tls/server.key"
    mv -f "$tls/server.pem.new" "$tls/server.pem"
    printf '%s\n' "$names" >"$tls/names"
    # Not while the system starts: nginx waits for this script then.
    if systemctl is-active --quiet nginx.service; then
        systemctl reload nginx.service
    fi
fi
chmod 0600 "$tls/server.key"
chmod 0644 "$tls/server.pem"

mkdir -p "$public"
if ! cmp -s "$ca/ca.pem" "$public/ca.pem"; then
    cp "$ca/ca.pem" "$public/ca.pem.new"
    chmod 0644 "$public/ca.pem.new"
    mv -f "$public/ca.pem.new" "$public/ca.pem"
fi
restorecon -F "$public/ca.pem"
