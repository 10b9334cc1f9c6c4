#!/usr/bin/env bash
# PostgreSQL 17.12: server, pg_createsubscriber and pg_basebackup. 18.6 is the same; 19rc1
# is not: it has the settings in a file of their own, and takes that away in the end.
#
# Expected: what pg_createsubscriber has made of a standby is a server like any other. A base
# backup of it with -R, which pg_verifybackup verifies, becomes its standby.
# Seen: the program leaves what it needed for the last recovery in postgresql.auto.conf, with
# recovery_target_lsn. The server itself does not mind, but the copy recovers up to there,
# which is before the backup's beginning, and does not start. With recovery.signal and a
# target of one's own it does not start either: there is more than one target.
# Matters to: who needs the backups of such a server, maybe years later.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_major 17

mkdir "$work"/socket{1,2}
[ "$(id -u)" != 0 ] || chown postgres "$work"/socket{1,2}
# start starts a cluster, with a socket of its own.
start() {
    clusters+=("$work/$1")
    as_owner "$bin/pg_ctl" -D "$1" -o "-k $work/$2" -l "$1.log" -w start >/dev/null 2>&1
}

start_server <<<'wal_level = logical'
as_owner "$bin/pg_basebackup" -D subscriber -R -c fast
as_owner "$bin/pg_createsubscriber" -D subscriber -d postgres -P "host=$work" -s "$work/socket1" >/dev/null 2>&1
echo "pg_createsubscriber: exit status 0"
start subscriber socket1 || fail "the subscriber does not start"

as_owner "$bin/pg_basebackup" -h "$work/socket1" -D copy -R -c fast
as_owner "$bin/pg_verifybackup" copy
if start copy socket2; then
    fail "the copy starts"
fi
grep -oE '(LOG: +recovery stopping|FATAL:) .*' "$work/copy.log"
grep -q 'FATAL: *requested recovery stop point is before consistent recovery point' "$work/copy.log" || fail "another error"

as_owner rm copy/standby.signal
as_owner touch copy/recovery.signal
as_owner tee -a copy/postgresql.auto.conf >/dev/null <<<"recovery_target_name = 'mine'
restore_command = 'false'"
if start copy socket2; then
    fail "the copy starts with a target of its own"
fi
grep -o 'FATAL: .*multiple recovery targets.*' "$work/copy.log" || fail "another error with a target of its own"

as_owner sed -i '/^recovery_target/d' copy/postgresql.auto.conf
as_owner rm copy/recovery.signal
as_owner touch copy/standby.signal
start copy socket2 || fail "the copy does not start without the settings"
echo "without the settings the copy starts"
