# Finds the two interfaces of the front end and writes /tmp/rb-network.ks, which the Kickstart includes.
#
# In: private and public (an interface's name or MAC address; empty: look for it), private_address, private_mask,
# public_address (empty: DHCP), public_mask, public_gateway, public_servers, public_name.
# As Rocks did, the first interface is the cluster's and the second one the world's.

say() { printf 'network: %s\n' "$*"; }

names=() macs=()
all=$(ip -o link show)
while read -r _ name rest; do
    name=${name%:}
    name=${name%%@*}
    if [[ $rest =~ link/ether\ ([0-9a-f:]{17}) ]]; then
        case $name in
        virbr* | docker* | bond* | team* | br* | veth* | vnet* | dummy*) ;;
        *) names+=("$name ${BASH_REMATCH[1]}") ;;
        esac
    fi
done <<<"$all"
if [ "${#names[@]}" -gt 0 ]; then
    mapfile -t names < <(printf '%s\n' "${names[@]}" | sort -V)
fi
for i in "${!names[@]}"; do
    macs[i]=${names[i]#* }
    names[i]=${names[i]% *}
    say "found ${names[i]} ${macs[i]}"
done

# mac_of NAME-OR-MAC ATTRIBUTE: the MAC address of an interface that is here.
mac_of() {
    local i
    for i in "${!names[@]}"; do
        if [ "$1" = "${names[i]}" ] || [ "${1,,}" = "${macs[i]}" ]; then
            echo "${macs[i]}"
            return
        fi
    done
}

# first_but MAC: the first interface that is not this one.
first_but() {
    local mac
    for mac in "${macs[@]}"; do
        if [ "$mac" != "$1" ]; then
            echo "$mac"
            return
        fi
    done
}

public_mac='' private_mac=''
if [ -n "$public" ]; then
    public_mac=$(mac_of "$public")
    [ -n "$public_mac" ] || rb_fail "Kickstart_PublicInterface names $public, which is not here: ${names[*]}"
fi
if [ -n "$private" ]; then
    private_mac=$(mac_of "$private")
    [ -n "$private_mac" ] || rb_fail "Kickstart_PrivateInterface names $private, which is not here: ${names[*]}"
else
    private_mac=$(first_but "$public_mac")
fi
[ -n "$private_mac" ] || rb_fail "there is no network interface for the cluster"
if [ -z "$public_mac" ]; then
    public_mac=$(first_but "$private_mac")
fi
[ "$public_mac" != "$private_mac" ] || rb_fail "the cluster's and the public interface are the same, $private_mac"

if [ -z "$public_mac" ]; then
    say "there is no second interface: nothing but the cluster can be reached"
fi
{
    echo "network --hostname=$public_name"
    echo "network --device=$private_mac --bindto=mac --bootproto=static --ip=$private_address" \
        "--netmask=$private_mask --nodefroute --noipv6 --activate"
    if [ -n "$public_mac" ] && [ -n "$public_address" ]; then
        echo "network --device=$public_mac --bindto=mac --bootproto=static --ip=$public_address" \
            "--netmask=$public_mask${public_gateway:+ --gateway=$public_gateway}" \
            "${public_servers:+--nameserver=$public_servers }--activate"
    elif [ -n "$public_mac" ]; then
        echo "network --device=$public_mac --bindto=mac --bootproto=dhcp --activate"
    fi
} >/tmp/rb-network.ks
cat /tmp/rb-network.ks
