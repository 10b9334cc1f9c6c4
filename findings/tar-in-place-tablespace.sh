#!/usr/bin/env bash
# PostgreSQL 15.18: server and pg_basebackup (Debian's package postgresql-15). 18.6 archives it.
#
# Expected: a backup in tar format holds what one in plain format holds.
# Seen: a tablespace in place (allow_in_place_tablespaces, CREATE TABLESPACE … LOCATION '') is a
# directory in pg_tblspc. With -F p its files are in the backup. With -F t they are in no archive
# and not in the manifest: exit status 0, without a word. What is unpacked is verified, starts, and
# has lost the tables in it.
# Matters to: who tests replicas on one machine with such tablespaces, as PostgreSQL's own
# suites do, and takes archives of them.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
port=54329

start_server <<<'allow_in_place_tablespaces = on'
sql "CREATE TABLESPACE inside LOCATION ''"
sql "CREATE TABLE kept (n int) TABLESPACE inside"
sql "INSERT INTO kept SELECT generate_series(1, 1000)"
relation=$(sql "SELECT pg_relation_filepath('kept')")

as_owner "$bin/pg_basebackup" --version
as_owner "$bin/pg_basebackup" -D plain -F p -X fetch -c fast
as_owner "$bin/pg_basebackup" -D tar -F t -X fetch -c fast
grep -q "\"$relation\"" "$work/plain/backup_manifest" || fail "$relation is not in the plain backup"
ls "$work/tar"
if grep -q "\"$relation\"" "$work/tar/backup_manifest"; then
    fail "$relation is in the manifest of the archives"
fi
for archive in "$work"/tar/*.tar; do
    if tar -tf "$archive" | grep -q "^\(./\)\?$relation\$"; then
        fail "$relation is in $archive"
    fi
done

mkdir -m 700 "$work/restored"
tar -xf "$work/tar/base.tar" -C "$work/restored"
cp "$work/tar/backup_manifest" "$work/restored"
[ "$(id -u)" != 0 ] || chown -R postgres "$work/restored"
as_owner "$bin/pg_verifybackup" restored
as_owner "$bin/pg_ctl" -D data -m fast -w stop >/dev/null
clusters+=("$work/restored")
as_owner "$bin/pg_ctl" -D restored -l restored.log -w start >/dev/null
if rows=$(sql "SELECT count(*) FROM kept" 2>&1); then
    fail "the restored table has $rows rows"
fi
echo "the restored server: $rows"
