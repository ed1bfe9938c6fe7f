# Gives sshd the host keys and certificates that lie in /etc/rollbuild/secrets.
#
# In: require_secrets, and key_owner and key_mode of private keys.

secrets=/etc/rollbuild/secrets
work=$(mktemp -d /etc/rollbuild/host-keys.XXXXXX)
trap 'rm -rf "$work"' EXIT

# put FILE NAME OWNER MODE: the key is never there with other rights than these.
put() {
    install -m 0600 "$1" "/etc/ssh/$2.new"
    chown "$3" "/etc/ssh/$2.new"
    chmod "$4" "/etc/ssh/$2.new"
    mv -f "/etc/ssh/$2.new" "/etc/ssh/$2"
}

fingerprint() {
    ssh-keygen -l -f "$1" | cut -d ' ' -f 2
}

# Whether FILE is a host's certificate for the public key in $work/public.
certifies() {
    ssh-keygen -L -f "$1" 2>/dev/null | grep ' host certificate$' >/dev/null &&
        [ "$(fingerprint "$1")" = "$(fingerprint "$work/public")" ]
}

got=no
mkdir -p /etc/ssh
for type in ed25519 rsa; do
    name=ssh_host_${type}_key
    [ -s "$secrets/$name" ] || continue
    # Made from the private key, the public one cannot be that of another.
    ssh-keygen -y -P '' -f "$secrets/$name" >"$work/public" 2>/dev/null ||
        rb_fail "host-keys: $secrets/$name is no private key of SSH without a passphrase"
    if [ ! -s "$secrets/$name-cert.pub" ]; then
        rm -f "/etc/ssh/$name-cert.pub"
    elif certifies "$secrets/$name-cert.pub"; then
        put "$secrets/$name-cert.pub" "$name-cert.pub" root:root 0644
    else
        rb_fail "host-keys: $secrets/$name-cert.pub is no host certificate of the key that it came with"
    fi
    put "$work/public" "$name.pub" root:root 0644
    put "$secrets/$name" "$name" "$key_owner" "$key_mode"
    restorecon -F "/etc/ssh/$name" "/etc/ssh/$name.pub"
    [ ! -e "/etc/ssh/$name-cert.pub" ] || restorecon -F "/etc/ssh/$name-cert.pub"
    echo "host-keys: $name is the cluster's"
    got=yes
done
if [ "$got" = no ]; then
    case $require_secrets in
    yes | true | on | y | 1) rb_fail "host-keys: no host key came with the secrets, and require_secrets is set" ;;
    esac
    echo "host-keys: no host key came with the secrets: sshd makes its own at the first boot"
fi

# What sshd is to be told of the certificates that are there.
host_certificates() {
    local file
    echo "# Certificates of the cluster's authority for the keys of this host"
    for file in /etc/ssh/ssh_host_*_key-cert.pub; do
        if [ -e "$file" ]; then
            echo "HostCertificate $file"
        fi
    done
}
