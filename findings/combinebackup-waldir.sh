#!/usr/bin/env bash
# PostgreSQL 17.12: server, pg_basebackup and pg_combinebackup. 18.6 is the same.
#
# Expected: pg_combinebackup takes any chain of backups in plain format, also when the last
# was taken with pg_basebackup --waldir, which leaves a link in place of pg_wal.
# pg_verifybackup follows the link, and finds that backup good.
# Seen: the link is left out of the result and nothing put in its place. What is said is one
# warning, and one error when the result is synchronized; but the exit status is 0. The
# result has no pg_wal, and no server starts from it until the log is copied there by hand.
# Matters to: who combines backups in a script, and trusts its exit status.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_major 17

start_server <<<'summarize_wal = on'
as_owner "$bin/pg_basebackup" -D full -c fast
sql "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n"
as_owner "$bin/pg_basebackup" -D increment --incremental=full/backup_manifest --waldir="$work/log-files" -c fast
as_owner "$bin/pg_verifybackup" increment

as_owner "$bin/pg_combinebackup" full increment -o combined || fail "the exit status is not 0"
echo "pg_combinebackup: exit status 0"
[ ! -e "$work/combined/pg_wal" ] || fail "there is a pg_wal"

mkdir "$work/socket"
[ "$(id -u)" != 0 ] || chown postgres "$work/socket"
clusters+=("$work/combined")
start() { as_owner "$bin/pg_ctl" -D combined -o "-k $work/socket" -l restored.log -w start >/dev/null 2>&1; }
if start; then
    fail "the server starts without pg_wal"
fi
grep -o 'FATAL: .*' "$work/restored.log"
grep -q 'required WAL directory "pg_wal" does not exist' "$work/restored.log" || fail "another error"
as_owner cp -r log-files combined/pg_wal
start || fail "the server does not start with the log"
rows=$(as_owner env "PGHOST=$work/socket" "$bin/psql" -XqAt -c "SELECT count(*) FROM t")
[ "$rows" = 1000 ] || fail "$rows rows"
echo "with the log copied to pg_wal the server starts, and has all rows"
