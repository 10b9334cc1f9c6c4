#!/usr/bin/env bash
# PostgreSQL 15.18: server, pg_basebackup and pg_verifybackup. 18.6 is the same.
#
# Expected: a base backup can be taken at any time, also while an index of an unlogged table
# is built: of unlogged relations only the empty "init" fork is copied, and the restored
# server makes the relation anew from it.
# Seen: the init fork comes at the end of the build only. Until then the backup takes the
# index's main fork for a logged relation's and copies it. WAL replay then makes the init
# fork, and the reset of unlogged relations finds the main fork in its way: the restored
# server does not start. pg_basebackup and pg_verifybackup end with 0, without a warning.
# Matters to: who has unlogged tables. Backups that were taken while an index was built, for
# hours maybe, do not start until somebody removes the file that the message names.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server </dev/null
sql "CREATE UNLOGGED TABLE t AS SELECT generate_series(1, 500) AS n"
sql "CREATE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE plpgsql
     AS 'BEGIN PERFORM pg_sleep(0.01); RETURN \$1; END'"

sql "CREATE INDEX ON t (slowly(n))" & # takes some five seconds
sleep 1
as_owner "$bin/pg_basebackup" -D backup -c fast -r 3M & # takes longer
wait -n
[ "$(jobs -r)" != '' ] || fail "the backup did not outlast the build of the index"
wait -n && echo "pg_basebackup: exit status $?"
as_owner "$bin/pg_verifybackup" backup

mkdir "$work/socket"
[ "$(id -u)" != 0 ] || chown postgres "$work/socket"
clusters+=("$work/backup")
start() { as_owner "$bin/pg_ctl" -D backup -o "-k $work/socket" -l restored.log -w start >/dev/null 2>&1; }
if start; then
    fail "the restored server starts"
fi
grep -o 'FATAL: .*' "$work/restored.log"
file=$(sed -n 's/.*FATAL: .*could not create file "\(base[0-9/]*\)": File exists/\1/p' "$work/restored.log")
[ -n "$file" ] || fail "another error"
rm "$work/backup/$file"
start || fail "the restored server does not start without the file"
echo "the restored server starts without the file"
