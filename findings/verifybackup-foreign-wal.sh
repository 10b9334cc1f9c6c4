#!/usr/bin/env bash
# PostgreSQL 15.18: server, pg_basebackup and pg_verifybackup. 18.6 and 19rc1 are the same.
#
# Expected: pg_verifybackup reads the write-ahead log that a backup needs, in pg_wal or where
# --wal-directory says. The log of another cluster is of no use to the backup, each file of it
# has its cluster's system identifier in its first page, and pg_control has the backup's: so
# the program refuses it.
# Seen: the identifiers are not compared, as pg_waldump, which it runs, does not know the
# backup's. All that counts is that the other cluster has log at the same positions. "backup
# successfully verified", and the server does not start from it.
# Matters to: who takes backups with -X none and verifies them with a log archive beside them,
# where several clusters have one. Clusters that were made alike are at alike positions.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

take_backup() { # of a new cluster
    start_server </dev/null
    as_owner "$bin/pg_basebackup" -D "$1" -c fast
    as_owner "$bin/pg_ctl" -D data -m immediate -w stop >/dev/null
    rm -r "$work/data"
}
take_backup one
take_backup other
identifier() { LC_ALL=C "$bin/pg_controldata" "$work/$1" | sed -n 's/^Database system identifier: *//p'; }
[ "$(identifier one)" != "$(identifier other)" ] || fail "the clusters have one identifier"

verify() { as_owner "$bin/pg_verifybackup" "$@"; }
echo "with the log of the other cluster:"
verify --wal-directory=other/pg_wal one || fail "the other cluster's log is refused"
rm -r "$work/one/pg_wal"
cp -a "$work/other/pg_wal" "$work/one"
verify one || fail "the other cluster's log is refused in pg_wal"

clusters+=("$work/one")
if as_owner "$bin/pg_ctl" -D one -l restored.log -w start >/dev/null 2>&1; then
    fail "the restored server starts"
fi
grep -oE '(LOG|FATAL): .*' "$work/restored.log" | grep -E 'different database system|checkpoint record'
grep -q 'WAL file is from different database system' "$work/restored.log" || fail "another error"
