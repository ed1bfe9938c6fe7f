# Functions that write NetworkManager's keyfiles of bridges and their ports.
connections=/etc/NetworkManager/system-connections
mkdir -p "$connections"

# uuid_of WORD...: the same words give the same UUID, so that a second run writes the same files.
uuid_of() {
    printf '%s' "$*" | sha1sum | sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/\1-\2-5\3-8\4-\5/'
}

# write_connection NAME: a keyfile from standard input. NetworkManager reads it only where it is root's alone.
write_connection() (
    umask 077
    cat >"$connections/$1.nmconnection"
)

# write_bridge BRIDGE MAC MTU LINE...: a bridge with these lines for IPv4. With the MAC address of its interface it
# gets the same lease as the interface did.
write_bridge() {
    local bridge=$1 mac=$2 mtu=$3
    shift 3
    {
        printf '[connection]\nid=%s\nuuid=%s\n' "$bridge" "$(uuid_of "$bridge" "$mac")"
        printf 'type=bridge\ninterface-name=%s\n\n' "$bridge"
        printf '[bridge]\nstp=false\n'
        if [ -n "$mac" ]; then
            printf 'mac-address=%s\n' "$mac"
        fi
        if [ -n "$mtu" ]; then
            printf '\n[ethernet]\nmtu=%s\n' "$mtu"
        fi
        printf '\n[ipv4]\n'
        printf '%s\n' "$@"
        printf '\n[ipv6]\nmethod=disabled\n'
    } | write_connection "$bridge"
}

# write_port BRIDGE MAC MTU: the interface with this MAC address becomes a port of the bridge.
write_port() {
    local bridge=$1 mac=$2 mtu=$3 file
    # What others wrote for the same interface would take it back.
    for file in "$connections"/*.nmconnection; do
        if [ "$file" != "$connections/$bridge.nmconnection" ] && grep -qix "mac-address=$mac" "$file" 2>/dev/null; then
            rm "$file"
        fi
    done
    {
        printf '[connection]\nid=%s-port\nuuid=%s\n' "$bridge" "$(uuid_of "$bridge-port" "$mac")"
        printf 'type=ethernet\nmaster=%s\nslave-type=bridge\n\n' "$bridge"
        printf '[ethernet]\nmac-address=%s\n' "$mac"
        if [ -n "$mtu" ]; then
            printf 'mtu=%s\n' "$mtu"
        fi
    } | write_connection "$bridge-port"
}

# write_vlan BRIDGE ID PARENT-BRIDGE: packets of a VLAN on the interface below another bridge become those of this one.
write_vlan() {
    local bridge=$1 id=$2 parent
    parent=$(sed -n 's/^uuid=//p' "$connections/$3-port.nmconnection")
    write_bridge "$bridge" '' '' method=disabled
    {
        printf '[connection]\nid=%s-port\nuuid=%s\n' "$bridge" "$(uuid_of "$bridge-port" "$parent")"
        printf 'type=vlan\ninterface-name=vlan%s\nmaster=%s\nslave-type=bridge\n\n' "$id" "$bridge"
        printf '[vlan]\nid=%s\nparent=%s\n' "$id" "$parent"
    } | write_connection "$bridge-port"
}
