#!/usr/bin/env bash
# PostgreSQL 15.18: server, pg_basebackup, pg_verifybackup (Debian's package postgresql-15).
#
# Expected: the checksum that a manifest has of global/pg_control tells this file from another.
# Seen: with the default, CRC32C, it is the same for each one that is whole: the file is so many
# bytes, then their CRC-32C, then zeros, and the CRC-32C of anything that ends with its own CRC-32C
# is a constant. A control file of last month, in the place of the backup's own, is verified. With
# --manifest-checksums=SHA256 the files are told apart.
# Matters to: who relies on pg_verifybackup to notice that a control file of another moment got
# into a backup (a restore in two steps, an rsync that went on), and who compares control files by
# the manifest, as tools do that bring an old copy up to date.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
port=54330

# checksum prints what the manifest of a backup has of pg_control.
checksum() {
    grep -o '"global/pg_control".*' "$work/$1/backup_manifest" | grep -o '"Checksum": "[0-9a-f]*"'
}

start_server </dev/null
as_owner "$bin/pg_basebackup" -D early -X fetch -c fast
sql "CREATE TABLE later AS SELECT generate_series(1, 1000)"
as_owner "$bin/pg_basebackup" -D late -X fetch -c fast
if cmp -s "$work/early/global/pg_control" "$work/late/global/pg_control"; then
    fail "the control files are the same"
fi
echo "CRC32C: $(checksum early) and $(checksum late)"
[ "$(checksum early)" = "$(checksum late)" ] || fail "the checksums differ"

as_owner cp early/global/pg_control late/global/pg_control
as_owner "$bin/pg_verifybackup" late || fail "the other control file is noticed"

as_owner "$bin/pg_basebackup" -D early256 -X fetch -c fast --manifest-checksums=SHA256
sql "CREATE TABLE latest AS SELECT generate_series(1, 1000)"
as_owner "$bin/pg_basebackup" -D late256 -X fetch -c fast --manifest-checksums=SHA256
[ "$(checksum early256)" != "$(checksum late256)" ] || fail "the SHA256 checksums are the same"
as_owner cp early256/global/pg_control late256/global/pg_control
if as_owner "$bin/pg_verifybackup" late256; then
    fail "with SHA256 the other control file is not noticed"
fi
