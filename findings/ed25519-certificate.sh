#!/usr/bin/env bash
# PostgreSQL 15.18 (server and libpq), and github.com/jackc/pgx/v5 5.12.0.
#
# Expected: a server whose certificate has an Ed25519 key, which OpenSSL and PostgreSQL take
# without a word, is one to log in to with a password (SCRAM) over TLS.
# Seen: it is not, with the default channel_binding=prefer. The server offers a binding that
# it cannot compute: it hashes the certificate by the hash function of its signature, and
# an Ed25519 signature has none of its own. libpq gives up with "NID UNDEF" instead of going
# on without a binding. pgx goes on, in a way that the server takes for a downgrade, and
# refuses. With channel_binding=disable both log in. PostgreSQL 18.6 does the same.
# Matters to: who makes certificates with a modern key. psql, pg_basebackup and standbys that
# have a password stay out, and no message speaks of the certificate.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command -v openssl >/dev/null || { echo "needs openssl" >&2; exit 2; }
while port=$((20000 + RANDOM % 10000)); (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
start_server <<<"listen_addresses = '127.0.0.1'"
sql "CREATE ROLE app LOGIN PASSWORD 'word'"
as_owner openssl req -x509 -newkey ed25519 -nodes -subj /CN=localhost -days 2 \
    -keyout data/server.key -out data/server.crt 2>/dev/null
printf '%s\n' 'local all all trust' 'hostssl all app all scram-sha-256' >"$work/data/pg_hba.conf"
sql "ALTER SYSTEM SET ssl = on"
sql "SELECT pg_reload_conf()" >/dev/null
sleep 1
grep -E 'ERROR|FATAL|WARNING' "$work/log" && fail "the server does not like the certificate"

login() {
    as_owner env PGHOST=127.0.0.1 PGUSER=app PGPASSWORD=word PGSSLMODE=require "$@" 2>&1 || true
}
go_build github.com/jackc/pgx/v5@v5.12.0 <<'E'
package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The program logs in as libpq's environment variables say.
func main() {
	if _, err := pgx.Connect(context.Background(), ""); err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Println("logged in")
}
E
psql=("$bin/psql" -XAtwc "SELECT 'logged in'")
by_default=$(login "${psql[@]}")
disabled=$(login PGCHANNELBINDING=disable "${psql[@]}")
printf 'psql: %s\n' "$by_default"
printf 'psql, channel_binding=disable: %s\n' "$disabled"
pgx_by_default=$(login "$work/program")
pgx_disabled=$(login PGCHANNELBINDING=disable "$work/program")
printf 'pgx: %s\n' "$pgx_by_default"
printf 'pgx, channel_binding=disable: %s\n' "$pgx_disabled"
[[ $by_default == *'could not find digest for NID UNDEF'* ]] || fail "psql logs in, or says something else"
[ "$disabled" = 'logged in' ] || fail "psql does not log in without channel binding"
[[ $pgx_by_default == *'SCRAM channel binding negotiation error'* ]] || fail "pgx logs in, or says something else"
[ "$pgx_disabled" = 'logged in' ] || fail "pgx does not log in without channel binding"
