#!/usr/bin/env bash
# PostgreSQL 15.18: server, pg_checksums, pg_basebackup and pg_verifybackup. 18.6 and 19rc1 are
# the same.
#
# Expected: where data checksums are on, a page whose first sector has become zeros, which
# is what a disk, a thin volume or a copy leaves that has lost a write, is found by what
# looks at checksums. The same damage to the page's second sector is.
# Seen: pg_checksums and the base backup take a page for a new one, which has no checksum,
# when two bytes of its header are zero, and do not look whether the others are. So neither
# finds anything: "Bad checksums: 0", and a verified backup. The server itself does look:
# a query that reads the page fails.
# Matters to: who has pg_checksums or each night's pg_basebackup watch over the disks. Until
# someone reads the page the good backups expire. pg_dump of everything, or a sequential
# scan, finds it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server --data-checksums </dev/null
sql "CREATE TABLE t AS SELECT generate_series(1, 10000) AS n"
sql CHECKPOINT
file=$work/data/$(sql "SELECT pg_relation_filepath('t')")
as_owner "$bin/pg_ctl" -D data -m fast -w stop >/dev/null

# zero_sector makes one sector of block 7 zeros.
zero_sector() {
    dd if=/dev/zero of="$file" bs=512 seek=$((7 * 16 + $1)) count=1 conv=notrunc status=none
}

cp "$file" "$work/whole"
zero_sector 1
if said=$(as_owner "$bin/pg_checksums" --check -D data 2>&1); then
    fail "pg_checksums does not find the second sector"
fi
echo "second sector: $(grep 'Bad checksums' <<<"$said")"
cat "$work/whole" >"$file"

zero_sector 0
said=$(as_owner "$bin/pg_checksums" --check -D data 2>&1) || fail "pg_checksums finds the first sector"
echo "first sector:  $(grep 'Bad checksums' <<<"$said")"
as_owner "$bin/pg_ctl" -D data -l log -w start >/dev/null
as_owner "$bin/pg_basebackup" -D backup -c fast --no-sync || fail "pg_basebackup finds it"
as_owner "$bin/pg_verifybackup" backup
if said=$(sql "SELECT count(*) FROM t" 2>&1); then
    fail "the server reads the page"
fi
echo "the server: $said"
grep -q 'invalid page in block 7' <<<"$said" || fail "another error"
