#!/usr/bin/env bash
# github.com/jackc/pgx/v5 5.12.0 (pgx, pgconn and stdlib), with PostgreSQL 15.18.
#
# Expected: COPY … TO STDOUT, given to a method that has no place for what the server then
# sends, is an error, one that names PgConn.CopyTo maybe.
# Seen: all methods that run a statement end without an error. The tag says how many rows
# were copied, and there are none: what the server sent has been thrown away.
# Matters to: who runs statements that others wrote (migrations, consoles, exports), where
# an empty export looks like an empty table; and who sends BASE_BACKUP over a replication
# connection by Exec: the backup is made, received and dropped.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server </dev/null
seen=$(go_run github.com/jackc/pgx/v5@v5.12.0 <<'E'
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib"
)

const statement = "COPY (SELECT generate_series(1, 3)) TO STDOUT"

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	results, err := conn.PgConn().Exec(ctx, statement).ReadAll()
	fmt.Println("pgconn Exec: ", results[0].CommandTag, "rows:", len(results[0].Rows), "error:", err)

	rows, err := conn.Query(ctx, statement)
	if err != nil {
		log.Fatal(err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[int])
	fmt.Println("pgx Query:   ", rows.CommandTag(), "rows:", len(values), "error:", err)

	tag, err := conn.Exec(ctx, statement)
	fmt.Println("pgx Exec:    ", tag, "error:", err)

	db, err := sql.Open("pgx", "")
	if err != nil {
		log.Fatal(err)
	}
	standard, err := db.Query(statement)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("database/sql:", "a row:", standard.Next(), "error:", standard.Err())
}
E
)
printf '%s\n' "$seen"
diff - <(tail -n 4 <<<"$seen") <<'E' || fail "not as told"
pgconn Exec:  COPY 3 rows: 0 error: <nil>
pgx Query:    COPY 3 rows: 0 error: <nil>
pgx Exec:     COPY 3 error: <nil>
database/sql: a row: false error: <nil>
E
