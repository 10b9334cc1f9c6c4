#!/usr/bin/env bash
# PostgreSQL 15.18: server and pg_basebackup. 13 to 16 are the same; 17 is not.
#
# Expected: a file that an administrator left in a database's directory, say a copy made
# before an experiment, does no harm to backups: PostgreSQL does not look at it.
# Seen: where data checksums are on, the walsender verifies any file there that is not on a
# short list, and takes what follows the first dot of its name for a segment's number. A
# name like "1259.orig" has none, and the backup ends with an error (XX000). The program
# tells nothing of it but that the stream ended: the reason is in the server's log only.
# Matters to: who wonders why all backups of a healthy server fail since some day.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server --data-checksums <<<"log_error_verbosity = verbose"
database=$work/data/base/$(sql "SELECT oid FROM pg_database WHERE datname = current_database()")
backup() { as_owner "$bin/pg_basebackup" -D "$1" -c fast -X none "${@:2}" 2>&1; }

backup first >/dev/null || fail "without such a file there is an error"
as_owner cp "$database/1259" "$database/1259.orig"
if said=$(backup second); then
    fail "there is no error"
fi
printf 'pg_basebackup:     %s\n' "${said%%$'\n'*}"
printf 'log of PostgreSQL: %s\n' "$(grep -m 1 -o 'ERROR: .*' "$work/log")"
grep -q 'ERROR: *XX000: invalid segment number 0' "$work/log" || fail "the error is another"
backup third --no-verify-checksums >/dev/null || fail "there is an error without checksums, too"
echo "with --no-verify-checksums: no error"
