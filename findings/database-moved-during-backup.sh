#!/usr/bin/env bash
# PostgreSQL 15.18: server, pg_basebackup and pg_verifybackup. 17.12, 18.6 and 19rc1 are the same.
#
# Expected: a database that an administrator moves to another tablespace while a backup is
# taken (ALTER DATABASE … SET TABLESPACE) is in the backup, at its old or its new place.
# Seen: it is in neither. Tablespaces are copied first and the data directory last, so that
# its files are where the backup looked before they came, and gone from where it looks
# next. The log says only which directory to copy, and recovery, where that is missing,
# leaves the copy out without a word. The backup is verified, recovery and start tell of
# nothing unusual, and the database, which is in the list, cannot be connected to.
# Matters to: who reorganizes disks at night. PostgreSQL's manual warns of a template that is
# changed during a backup, and not of this.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server </dev/null
as_owner mkdir tablespace tablespace-copy
sql "CREATE TABLESPACE fast LOCATION '$work/tablespace'"
sql "CREATE DATABASE moved"
in_moved() { as_owner "$bin/psql" -d moved -XqAt -c "$1"; }
in_moved "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n"
oid=$(sql "SELECT oid FROM pg_database WHERE datname = 'moved'")

# The rate makes the data directory last for some 15 seconds.
as_owner "$bin/pg_basebackup" -D backup -c fast -r 2M --no-sync -T "$work/tablespace=$work/tablespace-copy" &
until [ "$(sql "SELECT max(tablespaces_streamed) FROM pg_stat_progress_basebackup")" = 1 ]; do sleep 0.1; done
sql "ALTER DATABASE moved SET TABLESPACE fast"
wait $! || fail "the backup fails"
if [ -e "$work/backup/base/$oid" ]; then
    echo "the data directory was copied too fast; try again" >&2
    exit 2
fi
as_owner "$bin/pg_verifybackup" backup
echo "rows in the source: $(in_moved "SELECT count(*) FROM t")"

as_owner "$bin/pg_ctl" -D data -m fast -w stop >/dev/null
clusters+=("$work/backup")
as_owner "$bin/pg_ctl" -D backup -l restored.log -w start >/dev/null
if grep -E 'WARNING|ERROR|FATAL|PANIC|missing|skip' "$work/restored.log"; then
    fail "recovery says something"
fi
echo "databases in the copy: $(sql "SELECT string_agg(datname, ' ' ORDER BY oid) FROM pg_database")"
if said=$(in_moved "SELECT count(*) FROM t" 2>&1); then
    fail "the copy has $said rows"
fi
echo "$said" | sed "s,$work,…,"
grep -q "is not a valid data directory" <<<"$said" || fail "another error"
