# Makes the database before its server starts for the first time; run again, it goes on where it stopped.
set -euo pipefail
data=/var/lib/pgsql/data
if [ ! -e "$data/PG_VERSION" ]; then
    runuser -u postgres -- initdb --pgdata="$data" --auth-local=peer --auth-host=reject --encoding=UTF8 --locale=C.UTF-8
fi
if [ ! -e "$data/rollbuild.done" ]; then
    cat >"$data/pg_hba.conf" <<'HBA'
local  rollbuild  rollbuild  peer map=rollbuild
local  all        all        peer
HBA
    cat >"$data/pg_ident.conf" <<'IDENT'
rollbuild  root       rollbuild
rollbuild  rollbuild  rollbuild
IDENT
    # It listens to no address, so that nothing but the socket leads there.
    printf '%s\n' "listen_addresses = ''" "password_encryption = 'scram-sha-256'" >"$data/rollbuild.conf"
    grep -qxF "include 'rollbuild.conf'" "$data/postgresql.conf" ||
        printf '%s\n' "include 'rollbuild.conf'" >>"$data/postgresql.conf"
    chown postgres: "$data/pg_hba.conf" "$data/pg_ident.conf" "$data/rollbuild.conf"
    # Where an earlier run got this far they exist, and the server only says so.
    printf '%s\n' 'CREATE ROLE rollbuild LOGIN' 'CREATE DATABASE rollbuild OWNER rollbuild' |
        runuser -u postgres -- postgres --single -D "$data" postgres >/dev/null
    printf '%s\n' 'SELECT 1' | runuser -u postgres -- postgres --single -D "$data" rollbuild >/dev/null
    touch "$data/rollbuild.done"
fi
restorecon -RF /var/lib/pgsql
