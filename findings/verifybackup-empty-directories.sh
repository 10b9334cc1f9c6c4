#!/usr/bin/env bash
# PostgreSQL 15.18: pg_basebackup, pg_verifybackup and server. 18.6 and 19rc1 are the same.
#
# Expected: a backup that pg_verifybackup verifies has all that a server needs to start.
# Seen: the manifest lists files only. A copy without the backup's empty directories, which
# is what object stores, zip -D or rsync --prune-empty-dirs make of it, is verified. No
# server starts from it. One is told the name of one directory at a time; and who makes
# each of them has a backup in the end that does not start with all of them either,
# for the reason that interrupted-first-start.sh shows.
# Matters to: who keeps backups as objects, and tests them by pg_verifybackup after fetching.
# Make all directories that initdb makes before the first start.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server </dev/null
as_owner "$bin/pg_basebackup" -D backup -c fast --no-sync
as_owner mkdir -m 700 fetched
# Each file is copied to its name, as an object is.
as_owner bash -c 'cd backup && find . -type f -print0 | tar --null -T - -c | tar -x -C ../fetched'
as_owner "$bin/pg_verifybackup" fetched || fail "the copy is not verified"
(cd "$work/backup" && find . -mindepth 1 -type d) | while read -r directory; do
    [ -e "$work/fetched/$directory" ] || printf '%s ' "${directory#./}"
done >"$work/missing"
echo "not in the copy: $(cat "$work/missing")"

as_owner "$bin/pg_ctl" -D data -m fast -w stop >/dev/null
clusters+=("$work/fetched")
told=()
while ! as_owner "$bin/pg_ctl" -D fetched -l fetched.log -w start >/dev/null 2>&1; do
    directory=$(sed -n 's/.*FATAL: *could not open directory "\(.*\)": No such file.*/\1/p' "$work/fetched.log" | tail -1)
    [ -n "$directory" ] || break
    [ ! -e "$work/fetched/$directory" ] || break
    told+=("$directory")
    as_owner mkdir "fetched/$directory"
done
[ ${#told[@]} -gt 1 ] || fail "the messages are others"
echo "a start ended with the lack of each of: ${told[*]}"
echo "and the next one with: $(grep -oE '(FATAL|PANIC): .*' "$work/fetched.log" | tail -1)"
