# Writes /export/backup/frontend.tar anew where something changed, and keeps older ones beside it with their dates.
#
# In: database, backups_kept, uid_min, uid_max.
set -euo pipefail
export LC_ALL=C
umask 077
folder=/export/backup
users=/etc/rollbuild/users
mkdir -p "$folder" "$users"
chmod 0700 "$folder" "$users"

# A table that did not change keeps its time, so that the archive stays the same.
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
for table in passwd group; do
    awk -F : -v min="$uid_min" -v max="$uid_max" '$3 + 0 >= min && $3 + 0 <= max' "/etc/$table" >"$new/$table"
done
awk -F : 'kind == "user" { user[$1] = 1; next } $1 in user' kind=user "$new/passwd" kind=shadow /etc/shadow \
    >"$new/shadow"
for table in passwd group shadow; do
    cmp -s "$new/$table" "$users/$table" || cp "$new/$table" "$users/$table"
done

if [ "$database" = postgresql ]; then
    runuser -u postgres -- pg_dump --clean --if-exists rollbuild >"$folder/database.sql.new"
    mv -f "$folder/database.sql.new" "$folder/database.sql"
elif [ -e /var/lib/rollbuild/cluster.db ] && command -v sqlite3 >/dev/null; then
    rm -f "$folder/cluster.db.new"
    sqlite3 /var/lib/rollbuild/cluster.db ".backup '$folder/cluster.db.new'"
    mv -f "$folder/cluster.db.new" "$folder/cluster.db"
fi

found=()
for path in /etc/rollbuild/{ca,accounts,secrets,ssh,users} /var/lib/rollbuild/host-keys /etc/munge/munge.key \
    /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub /etc/ssh/ssh_host_*_key-cert.pub \
    /root/.ssh/id_ed25519 /root/.ssh/id_ed25519.pub; do
    [ ! -e "$path" ] || found+=("${path#/}")
done
tar -C / --sort=name -cf "$folder/frontend.tar.new" "${found[@]}"
if cmp -s "$folder/frontend.tar.new" "$folder/frontend.tar"; then
    rm -f "$folder/frontend.tar.new"
    exit 0
fi
if [ -e "$folder/frontend.tar" ]; then
    mv -f "$folder/frontend.tar" "$folder/frontend-$(date -r "$folder/frontend.tar" +%Y%m%d-%H%M%S).tar"
fi
mv -f "$folder/frontend.tar.new" "$folder/frontend.tar"
mapfile -t older < <(printf '%s\n' "$folder"/frontend-*.tar | sort -r | tail -n "+$((backups_kept + 1))")
for archive in "${older[@]}"; do
    rm -f "$archive"
done
