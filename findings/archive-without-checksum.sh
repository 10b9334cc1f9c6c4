#!/usr/bin/env bash
# PostgreSQL 15.18: server and pg_basebackup. lz4 1.9.4 and zstd 1.5.4 (Debian's packages).
# 18.6 and 19rc1 write the same.
#
# Expected: lz4 -t and zstd -t tell whether an archive is damaged. Both formats have a
# checksum of the content at a frame's end, which both programs write unless told not to.
# Seen: pg_basebackup and the server write frames without one, for -Z client-lz4, server-lz4,
# client-zstd and server-zstd, and no detail of -Z asks for it. Here a digit of a row is
# changed in the compressed archive: the programs test and unpack it without a word, and the
# server that starts from it has the other number. In gzip's format a checksum is always there.
# Matters to: who tests archives so on the disk or tape where they are kept. What finds it is
# pg_verifybackup, which reads archives from 18 on, and a server with data checksums, once it
# reads the page.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
for program in lz4 zstd; do
    if ! command -v $program >/dev/null; then
        echo "needs $program (package $program)" >&2
        exit 2
    fi
    $program --version
done

# Random bytes around a row make it stand in the archive as it is.
start_server </dev/null
sql "CREATE TABLE noise (bytes bytea)"
sql "ALTER TABLE noise ALTER bytes SET STORAGE PLAIN"
sql "CREATE FUNCTION noise(int) RETURNS bytea LANGUAGE sql AS
     'SELECT string_agg(sha512((random() + i)::text::bytea), NULL) FROM generate_series(1, \$1) AS i'"
sql "INSERT INTO noise SELECT noise(8 + n % 8) FROM generate_series(1, 2000) AS n"
sql "INSERT INTO noise VALUES ('balance: 1000.00')"
sql "INSERT INTO noise SELECT noise(8 + n % 8) FROM generate_series(1, 2000) AS n"

# damage changes the digit in the first place where the row is: in the table, not in the log.
damage() {
    local at
    at=$(LC_ALL=C grep -abo -m 1 'balance: 1000' "$1" | cut -d: -f1)
    [ -n "$at" ] || fail "the row is not to be seen in $1"
    printf 9 | dd of="$1" bs=1 seek=$((at + 9)) conv=notrunc status=none
}

mkdir "$work/socket"
[ "$(id -u)" != 0 ] || chown postgres "$work/socket"
for method in client-lz4 server-lz4 client-zstd server-zstd; do
    program=${method#*-}
    as_owner "$bin/pg_basebackup" -D $method -F t -X fetch -Z $method -c fast
    archive=$(echo "$work/$method"/base.tar.*)
    $program -dcq "$archive" >"$work/base.tar"
    damage "$archive"
    $program -tq "$archive" || fail "$program finds the damage in the archive of $method"
    mkdir "$work/restored"
    $program -dcq "$archive" | tar -xf - -C "$work/restored"
    rm "$archive"

    # The program's own archive of the same is the counter-check.
    $program -cq "$work/base.tar" >"$work/own"
    damage "$work/own"
    if $program -tq "$work/own" 2>/dev/null; then
        fail "$program does not find the damage in its own archive"
    fi

    chmod 700 "$work/restored"
    [ "$(id -u)" != 0 ] || chown -R postgres "$work/restored"
    clusters+=("$work/restored")
    as_owner "$bin/pg_ctl" -D restored -o "-k $work/socket" -l restored.log -w start >/dev/null
    balance=$(as_owner env "PGHOST=$work/socket" "$bin/psql" -XqAt \
        -c "SELECT convert_from(bytes, 'UTF8') FROM noise WHERE length(bytes) < 64")
    as_owner "$bin/pg_ctl" -D restored -m immediate -w stop >/dev/null
    rm -r "$work/restored"
    echo "$method: $program -t ends with 0; the restored server says $balance"
    [ "$balance" = 'balance: 9000.00' ] || fail "not the damaged row"
done
