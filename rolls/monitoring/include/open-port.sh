# Lets the front end, and nobody else, reach a port. In: allowed (its address), port.
zone=public
if [ -e /etc/firewalld/zones/rbprivate.xml ]; then
    # What comes from the cluster's network is in this one, and the public zone's rules do not count for it.
    zone=rbprivate
fi
rule="rule family=\"ipv4\" source address=\"$allowed\" port port=\"$port\" protocol=\"tcp\" accept"
if ! firewall-offline-cmd --zone="$zone" --query-rich-rule="$rule" >/dev/null; then
    firewall-offline-cmd --zone="$zone" --add-rich-rule="$rule"
fi
