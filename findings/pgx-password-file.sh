#!/usr/bin/env bash
# github.com/jackc/pgx/v5 5.12.0 with github.com/jackc/pgpassfile 1.0.0, and psql 15.18.
#
# Expected: a line of the password file with which psql logs in is one with which pgx logs
# in, and the other way round: pgx reads the same file, and refers to libpq's manual for it.
# Seen: for a server's socket directory that is not the default one, libpq looks for a line
# with the directory, and pgx for one with "localhost". And blanks at the end of a password
# belong to it with libpq, and are cut off by pgx.
# Matters to: who has more than one server on a machine, each with its socket directory and
# its password. A program that is ported from libpq, or that a script calls beside psql,
# does not log in any more, or takes the line that was meant for another server.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server </dev/null
sql "CREATE ROLE plain LOGIN PASSWORD 'word'; CREATE ROLE blank LOGIN PASSWORD 'word '"
printf '%s\n' 'local all plain,blank scram-sha-256' 'local all all trust' >"$work/data/pg_hba.conf"
sql "SELECT pg_reload_conf()" >/dev/null

go_build github.com/jackc/pgx/v5@v5.12.0 <<'E'
package main

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5"
)

// The program logs in as libpq's environment variables say.
func main() {
	if _, err := pgx.Connect(context.Background(), ""); err != nil {
		log.Fatal(err)
	}
}
E

# login prints whether a program logs in with a line of the password file.
login() {
    local role=$1 line=$2
    shift 2
    printf '%s\n' "$line" >"$work/passwords"
    chmod 600 "$work/passwords"
    [ "$(id -u)" != 0 ] || chown postgres "$work/passwords"
    if as_owner env "PGUSER=$role" "PGPASSFILE=$work/passwords" "$@" >"$work/out" 2>&1; then
        echo 'logs in'
    else
        grep -q 'password' "$work/out" || fail "another error: $(cat "$work/out")"
        echo 'does not'
    fi
}

# compare checks what psql and pgx do with a line.
compare() {
    local role=$1 line=$2 psql pgx
    psql=$(login "$role" "$line" "$bin/psql" -Xwqc '')
    pgx=$(login "$role" "$line" "$work/program")
    printf '%-26s psql %s, pgx %s\n' "${line/"$work"/DIRECTORY}|" "$psql" "$pgx"
    [ "$psql, $pgx" = "$3" ] || fail "not as told"
}

compare plain '*:*:*:*:word' 'logs in, logs in'
compare plain "$work:*:*:*:word" 'logs in, does not'
compare plain 'localhost:*:*:*:word' 'does not, logs in'
compare blank '*:*:*:*:word ' 'logs in, does not'
