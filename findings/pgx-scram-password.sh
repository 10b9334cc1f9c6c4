#!/usr/bin/env bash
# github.com/jackc/pgx/v5 5.12.0, and psql 15.18.
#
# Expected: a password with which psql logs in by scram-sha-256 is one with which pgx logs in.
# Seen: PostgreSQL and libpq normalize passwords by SASLprep, which is NFKC; pgx does it by
# PRECIS's OpaqueString, which is NFC. A password with a compatibility character (Ⅸ for IX, a
# ligature, a letter of full width) or with one that SASLprep drops (a soft hyphen, a zero
# width space) has another hash then: "password authentication failed".
# Matters to: who has such a password, made by a password manager or typed on another
# keyboard, and moves a program from libpq to pgx.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server </dev/null
printf '%s\n' 'local all checked scram-sha-256' 'local all all trust' >"$work/data/pg_hba.conf"
sql "CREATE ROLE checked LOGIN; SELECT pg_reload_conf()" >/dev/null

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

# login prints whether a program logs in with a password.
login() {
    local password=$1
    shift
    if as_owner env PGUSER=checked "PGPASSWORD=$password" "$@" >"$work/out" 2>&1; then
        echo 'logs in'
    else
        grep -q 'password authentication failed' "$work/out" || fail "another error: $(cat "$work/out")"
        echo 'does not'
    fi
}

# compare checks what psql and pgx do with a password.
compare() {
    local name=$1 password=$2 expected=$3 psql pgx
    sql "ALTER ROLE checked PASSWORD '$password'"
    psql=$(login "$password" "$bin/psql" -Xwqc '')
    pgx=$(login "$password" "$work/program")
    printf '%-18s psql %s, pgx %s\n' "$name" "$psql" "$pgx"
    [ "$psql, $pgx" = "$expected" ] || fail "not as told"
}

compare ASCII word 'logs in, logs in'
compare umlaut 'wörd' 'logs in, logs in'
compare 'Roman numeral' $'\xe2\x85\xa8' 'logs in, does not'
compare ligature $'o\xef\xac\x80' 'logs in, does not'
compare 'soft hyphen' $'a\xc2\xadb' 'logs in, does not'
compare 'zero width space' $'a\xe2\x80\x8bb' 'logs in, does not'
