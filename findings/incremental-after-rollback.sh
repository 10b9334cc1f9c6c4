#!/usr/bin/env bash
# PostgreSQL 17.12: server, pg_basebackup, pg_combinebackup, pg_verifybackup. 19rc1 is the same.
#
# Expected: an incremental backup that is based on a backup which the server does not descend
# from is refused, by the server or by pg_combinebackup: they compare system, timeline and
# WAL positions for that.
# Seen: a server that was rolled back by starting its full backup, as pg_basebackup has left
# it, stays on the timeline. Once it has written more WAL than was discarded, an increment on
# a manifest of the discarded history is taken, the chain combined, and all of it verified,
# with exit status 0. The result has neither history: rows that were committed after the
# rollback are not in it. With recovery.signal the rollback makes a timeline, and the
# same increment is refused.
# Matters to: who has a job that takes each increment on the newest manifest, and restores the
# server from an older one. The first backup after a restore has to be a full one.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_major 17

start() { as_owner "$bin/pg_ctl" -D "$1" -l "$1.log" -w start >/dev/null; }
stop() { as_owner "$bin/pg_ctl" -D "$1" -m fast -w stop >/dev/null; }

start_server <<<'summarize_wal = on'
sql "CREATE TABLE t (n int, history text)"
as_owner "$bin/pg_basebackup" -D full -c fast --no-sync
sql "INSERT INTO t SELECT n, 'discarded' FROM generate_series(1, 1000) AS n"
as_owner "$bin/pg_basebackup" -D increment1 --incremental=full/backup_manifest -c fast --no-sync
stop data

# roll_back puts the full backup in the server's place, and writes beyond what was discarded.
roll_back() {
    as_owner rm -rf data
    as_owner cp -a full data
    if [ "$1" = recovery ]; then
        as_owner touch data/recovery.signal
        as_owner tee -a data/postgresql.auto.conf >/dev/null <<<"restore_command = 'false'"
    fi
    start data
    until [ "$(sql "SELECT pg_is_in_recovery()")" = f ]; do sleep 0.1; done
    sql "INSERT INTO t SELECT n, 'after the rollback' FROM generate_series(1, 1000) AS n"
    for _ in 1 2; do
        sql "SELECT pg_switch_wal()" >/dev/null
        sql CHECKPOINT
    done
}

roll_back recovery
if said=$(as_owner "$bin/pg_basebackup" -D refused --incremental=increment1/backup_manifest -c fast --no-sync 2>&1); then
    fail "the increment on another timeline is not refused"
fi
echo "with recovery.signal: $(grep -o 'ERROR: .*' <<<"$said")"
stop data

roll_back start
as_owner "$bin/pg_basebackup" -D increment2 --incremental=increment1/backup_manifest -c fast --no-sync || fail "the increment is refused"
as_owner "$bin/pg_combinebackup" full increment1 increment2 -o combined --no-sync || fail "the chain is not combined"
for backup in increment2 combined; do
    as_owner "$bin/pg_verifybackup" "$backup"
done
count="SELECT count(*) FROM t WHERE history = 'after the rollback'"
server=$(sql "$count")
stop data
clusters+=("$work/combined")
start combined
echo "rows after the rollback: $server in the server, $(sql "$count") in its combined backup"
[ "$server" = 1000 ] && [ "$(sql "$count")" = 0 ] || fail "the rows are others"
