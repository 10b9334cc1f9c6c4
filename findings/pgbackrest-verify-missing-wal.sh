#!/usr/bin/env bash
# pgBackRest 2.45, with PostgreSQL 15.18. pgBackRest 2.55.1 (Debian 13) is the same.
#
# Expected: pgbackrest verify tells when a backup cannot be restored because a WAL segment that
# it needs is gone from the archive, the more so where those before and after it are there.
# Seen: it looks at the files that are there. Nothing is said at log level info but "completed
# successfully", and the exit status is 0. (It is so, too, for a missing or damaged file of
# the backup; that is at least said.) The restore ends with 0 as well, and the server does
# not start. pg_verifybackup, of a backup that holds its WAL, names the missing segment.
# Matters to: who has cron run pgbackrest verify and believes it. Only a restore that is started
# is a test.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
if ! command -v pgbackrest >/dev/null; then
    echo "needs pgBackRest (package pgbackrest)" >&2
    exit 2
fi
pgbackrest version

configuration=$work/pgbackrest.conf
start_server <<END
archive_mode = on
archive_command = 'pgbackrest --config=$configuration --stanza=s archive-push %p'
END
as_owner mkdir repository logs locks socket
cat >"$configuration" <<END
[global]
repo1-path=$work/repository
repo1-retention-full=2
log-path=$work/logs
lock-path=$work/locks
log-level-console=info
[s]
pg1-path=$work/data
pg1-socket-path=$work
pg1-user=postgres
END
pgbackrest_s() { as_owner pgbackrest --config="$configuration" --stanza=s "$@"; }
pgbackrest_s stanza-create >/dev/null
pgbackrest_s backup --start-fast --type=full >/dev/null
sql "CREATE TABLE t AS SELECT 1 AS n"
after=$(sql "SELECT pg_walfile_name(pg_switch_wal())")

needed=$(sed -n 's/^backup-archive-start="\(.*\)"$/\1/p' "$work"/repository/backup/s/*F/backup.manifest)
archive=$work/repository/archive/s/15-1/${needed:0:16}
until ls "$archive/$after"-* >/dev/null 2>&1; do sleep 0.1; done
rm "$archive/$needed"-*
echo "the backup needs $needed; the archive has $(cd "$archive" && ls | sed -n 's/^\([0-9A-F]*\)-.*/\1/p' | tr '\n' ' ')"

said=$(pgbackrest_s verify 2>&1) || fail "verify does not end with 0"
grep -o 'INFO: .*' <<<"$said" | sed 's/: --config.*//'
if grep -qiE 'missing|invalid|error|WARN' <<<"$said"; then
    fail "verify says something"
fi
pgbackrest_s restore --pg1-path="$work/restored" >/dev/null || fail "restore does not end with 0"
echo "restore: exit status 0"
clusters+=("$work/restored")
if as_owner "$bin/pg_ctl" -D restored -o "-k $work/socket -c archive_mode=off" -l restored.log -w start >/dev/null 2>&1; then
    fail "the server starts"
fi
grep -o 'FATAL: .*' "$work/restored.log"
