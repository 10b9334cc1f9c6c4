#!/usr/bin/env bash
# PostgreSQL 15.18: server, pg_basebackup and logical replication. 18.6 is the same.
#
# Expected: a subscriber that is restored from a base backup goes on where the backup ends. What
# the publisher has sent meanwhile it sends again, or replication stops with an error.
# Seen: the restored subscriber does ask for the changes from the backup on; the publisher,
# whose slot has moved on since, begins at the slot's position instead, and tells nobody. What
# was committed between is lost to the subscriber, replication goes on, and neither log has a
# warning. A physical standby that asks for WAL which is gone gets an error.
# Matters to: who has base backups of a subscriber, as a reporting server or the target of a
# migration, and restores one. Its tables have to be copied anew.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server <<<'wal_level = logical'
as_owner mkdir socket
as_owner "$bin/initdb" -D subscriber -U postgres -A trust >/dev/null
printf "unix_socket_directories = '%s'\nlisten_addresses = ''\nfsync = off\n" "$work/socket" >>"$work/subscriber/postgresql.conf"
subscriber_sql() { as_owner env "PGHOST=$work/socket" PGPORT=5432 "$bin/psql" -XqAt -c "$1"; }
# start starts one of the subscriber's directories.
start() {
    clusters+=("$work/$1")
    as_owner "$bin/pg_ctl" -D "$1" -l "$1.log" -w start >/dev/null
}
# replicate commits a row, and waits until the subscriber has it.
replicate() {
    sql "INSERT INTO t VALUES ($1)"
    until [ "$(subscriber_sql "SELECT count(*) FROM t WHERE n = $1")" = 1 ]; do sleep 0.1; done
}

start subscriber
for server in sql subscriber_sql; do $server "CREATE TABLE t (n int PRIMARY KEY)"; done
sql "CREATE PUBLICATION p FOR TABLE t"
subscriber_sql "CREATE SUBSCRIPTION s CONNECTION 'host=$work user=postgres dbname=postgres' PUBLICATION p" 2>/dev/null
replicate 1
as_owner env "PGHOST=$work/socket" PGPORT=5432 "$bin/pg_basebackup" -D backup -c fast --no-sync
as_owner "$bin/pg_verifybackup" backup
replicate 2
end=$(sql "SELECT pg_current_wal_lsn()")
until [ "$(sql "SELECT confirmed_flush_lsn >= '$end' FROM pg_replication_slots")" = t ]; do sleep 0.1; done
as_owner "$bin/pg_ctl" -D subscriber -m fast -w stop >/dev/null

position=$(sql "SELECT confirmed_flush_lsn FROM pg_replication_slots")
start backup
replicate 3
echo "asked for:            $(grep -o 'LOGICAL [0-9A-F/]*' "$work/log" | tail -1)"
echo "position of the slot: $position"
rows=$(subscriber_sql "SELECT string_agg(n::text, ' ' ORDER BY n) FROM t")
echo "rows of the publisher: $(sql "SELECT string_agg(n::text, ' ' ORDER BY n) FROM t"), of the restored subscriber: $rows"
[ "$rows" = '1 3' ] || fail "the rows are others"
if grep -E 'WARNING|ERROR|FATAL' "$work/backup.log"; then
    fail "the subscriber's log has a warning"
fi
