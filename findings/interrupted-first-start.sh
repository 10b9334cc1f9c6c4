#!/usr/bin/env bash
# PostgreSQL 15.18: pg_basebackup and server. 18.6 and 19rc1 are the same.
#
# Expected: what the hint of a failed recovery tells to do, and a start after it, goes on with
# the recovery. So says the manual of a recovery that an external error ended.
# Seen: the backup never starts again. The first attempt renames backup_label, and writes to
# pg_control that it recovers a backup. The second finds no label and no signal file, takes
# this for a recovery after a crash, and does not look for the backup's end in that: it
# replays all of the WAL, and then misses the end, which it has replayed. The message asks
# for WAL that is there. Here the directory of a tablespace is lacking that was made
# during the backup; pg_ctl stop, a kill or a full disk before the end does the same.
# Matters to: who starts a backup as pg_basebackup leaves it, with much WAL. Give backup_label.old
# (and tablespace_map.old, where there is one) its name back, and start; or begin with
# recovery.signal, which also lasts until recovery ends.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server </dev/null
as_owner "$bin/pg_basebackup" -D backup -c fast -r 2M --no-sync &
until [ "$(sql "SELECT max(backup_streamed) > 0 FROM pg_stat_progress_basebackup")" = t ]; do sleep 0.1; done
as_owner mkdir tablespace
sql "CREATE TABLESPACE late LOCATION '$work/tablespace'"
sql "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n"
wait $! || fail "the backup fails"
as_owner "$bin/pg_verifybackup" backup
as_owner "$bin/pg_ctl" -D data -m fast -w stop >/dev/null
as_owner rm -r tablespace

clusters+=("$work/backup")
start() { as_owner "$bin/pg_ctl" -D backup -l "$1.log" -w start >/dev/null 2>&1; }
said() { grep -E 'FATAL|HINT|completed backup recovery' "$work/$1.log" | sed "s/^.*\] //; s,$work,…,"; }
! start first || fail "the first start does not fail"
said first
grep -q 'HINT: *Create this directory' "$work/first.log" || fail "there is another hint"
as_owner mkdir tablespace
! start second || fail "the server starts after the directory was made"
said second
grep -q 'FATAL: *WAL ends before end of online backup' "$work/second.log" || fail "another error"

as_owner mv backup/backup_label.old backup/backup_label
start third || fail "the server does not start with the label"
said third
[ "$(sql "SELECT count(*) FROM t")" = 1000 ] || fail "rows are missing"
echo "with backup_label.old as backup_label the server starts, and has all rows"
