#!/usr/bin/env bash
# PostgreSQL 15.18: pg_basebackup -R; 18.6 and 19rc1 are the same.
#
# Expected: -R makes the copy a standby of its source, by adding primary_conninfo to
# postgresql.auto.conf. What that file holds already is the server's business: it reads a
# file whose last line has no end, as a configuration tool may have left it.
# Seen: the setting is added to the end of that last line. Behind a comment it becomes
# part of the comment. pg_basebackup says nothing, pg_verifybackup is content, and the copy
# starts as a standby that follows nobody, for ever. Behind a setting it does not start.
# Matters to: who writes postgresql.auto.conf by a script, and makes standbys with -R.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server </dev/null
printf '# kept by the configuration tool' >>"$work/data/postgresql.auto.conf"
sql "SELECT pg_reload_conf()" >/dev/null

as_owner "$bin/pg_basebackup" -D copy -R -c fast || fail "pg_basebackup refuses"
as_owner "$bin/pg_verifybackup" copy
last=$(grep primary_conninfo "$work/copy/postgresql.auto.conf")
echo "${last:0:60}..."
[[ $last == '# kept by the configuration tool'* ]] || fail "the setting has a line of its own"

mkdir "$work/socket"
[ "$(id -u)" != 0 ] || chown postgres "$work/socket"
clusters+=("$work/copy")
as_owner "$bin/pg_ctl" -D copy -o "-k $work/socket" -l restored.log -w start >/dev/null
of_copy() { as_owner env "PGHOST=$work/socket" "$bin/psql" -XqAt -c "$1"; }
[ "$(of_copy "SELECT pg_is_in_recovery()")" = t ] || fail "the copy is no standby"
[ -z "$(of_copy "SHOW primary_conninfo")" ] || fail "primary_conninfo is set"
[ "$(sql "SELECT count(*) FROM pg_stat_replication")" = 0 ] || fail "the copy follows its source"
echo "the copy is a standby without primary_conninfo: nothing of its source reaches it"
