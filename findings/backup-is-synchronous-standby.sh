#!/usr/bin/env bash
# PostgreSQL 15.18: server and pg_basebackup. 18.6 is the same.
#
# Expected: a backup is no standby. With synchronous_standby_names = '*' and no standby
# connected, a commit waits for one to come, whether a backup runs or not. What only
# receives WAL reports no flush position unless told to, as pg_receivewal is with
# --synchronous, so that it is no candidate.
# Seen: the temporary slot that pg_basebackup takes by default makes it report one. Its
# stream becomes the synchronous standby, at the end of each segment. So a commit returns
# once the backup has a whole segment, though no standby has it; and a standby that comes
# back meanwhile is but "potential": commits wait for the backup's next segment, not for it.
# With --no-slot a backup is no candidate.
# Matters to: who runs synchronous replication with '*' and backs up the primary. Names of
# standbys in place of '*' avoid it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server <<<"synchronous_standby_names = '*'"
sql "SET synchronous_commit = local; CREATE TABLE t AS SELECT generate_series(1, 300000) AS n"

# backup_and_commit takes a slow backup, which reports its position each second, commits a row and ends the
# segment, and prints what the server thinks of the backup's stream and what the commit did.
backup_and_commit() {
    as_owner "$bin/pg_basebackup" -D "backup$#" -c fast -r 1M -s 1 "$@" >/dev/null 2>&1 &
    until [ "$(sql "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")" = 1 ]; do
        [ -n "$(jobs -r)" ] || fail "the backup ended early"
        sleep 0.1
    done
    commit >"$work/commit" &
    sleep 1
    sql "SELECT pg_switch_wal()" >/dev/null
    wait -n # for the commit
    sql "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
    cat "$work/commit"
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_replication" >/dev/null
    wait
}

# commit gives up after six seconds, when psql asks the server to stop waiting.
commit() {
    local warning
    warning=$(as_owner timeout -s INT 6 "$bin/psql" -Xqc "INSERT INTO t VALUES (1)" 2>&1) || true
    echo "${warning:-returned}"
}

plain=$(backup_and_commit)
printf 'pg_basebackup:           its stream is %s, the commit %s\n' "${plain%%$'\n'*}" "${plain#*$'\n'}"
no_slot=$(backup_and_commit --no-slot)
printf 'pg_basebackup --no-slot: its stream is %s, the commit: %s\n' "${no_slot%%$'\n'*}" "${no_slot#*$'\n'}"

[ "$plain" = $'sync\nreturned' ] || fail "with a slot the stream is no synchronous standby"
[[ $no_slot == async$'\n'*"canceling wait for synchronous replication"* ]] || fail "without a slot it is one"
