#!/usr/bin/env bash
# github.com/jackc/pglogrepl v0.0.0-20251213150135-2e8d0df862c1 (the newest), with
# PostgreSQL 15.18.
#
# Expected: StartBaseBackup knows the syntax of BASE_BACKUP of 15 and later. So what comes
# after each NextTableSpace, up to CopyDone, is that tablespace's archive, as it is with 14: the
# module's own test writes it to files named ….tar.
# Seen: since 15 the server sends all archives in one COPY, with a letter in front of each
# message and messages of other kinds between. The module hands them on as they are. The
# first "archive" begins with the announcement of an archive's name, and is no tar file.
# Without tablespaces no method returns an error, FinishBaseBackup neither; with one the
# next NextTableSpace fails, and its message tells nothing of the reason.
# Matters to: who wrote a backup tool for 14 with it, and upgrades the server.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_server </dev/null
seen=$(go_run github.com/jackc/pglogrepl@v0.0.0-20251213150135-2e8d0df862c1 github.com/jackc/pgx/v5@v5.12.0 <<'E'
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"log"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgconn.Connect(ctx, "replication=true")
	if err != nil {
		log.Fatal(err)
	}
	backup, err := pglogrepl.StartBaseBackup(ctx, conn, pglogrepl.BaseBackupOptions{Fast: true, NoWait: true})
	if err != nil {
		log.Fatal(err)
	}
	if err := pglogrepl.NextTableSpace(ctx, conn); err != nil {
		log.Fatal(err)
	}
	archive, err := receive(ctx, conn)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("first bytes: %q\n", archive[:10])
	_, err = tar.NewReader(bytes.NewReader(archive)).Next()
	fmt.Println("as a tar file:", err)
	if len(backup.Tablespaces) > 0 {
		fmt.Println("second NextTableSpace:", pglogrepl.NextTableSpace(ctx, conn))
		return
	}
	_, err = pglogrepl.FinishBaseBackup(ctx, conn)
	fmt.Println("FinishBaseBackup:", err)
}

// receive receives what is sent up to CopyDone.
func receive(ctx context.Context, conn *pgconn.PgConn) ([]byte, error) {
	var archive []byte
	for {
		message, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return nil, err
		}
		switch message := message.(type) {
		case *pgproto3.CopyData:
			archive = append(archive, message.Data...)
		case *pgproto3.CopyDone:
			return archive, nil
		}
	}
}
E
)
as_owner mkdir "$work/tablespace"
sql "CREATE TABLESPACE other LOCATION '$work/tablespace'"
seen+=$'\nwith a tablespace:\n'$(as_owner "$work/program")
printf '%s\n' "$seen"
diff - <(printf '%s\n' "$seen") <<'E' || fail "not as told"
first bytes: "nbase.tar\x00"
as a tar file: archive/tar: invalid tar header
FinishBaseBackup: <nil>
with a tablespace:
first bytes: "n16384.tar"
as a tar file: archive/tar: invalid tar header
second NextTableSpace: unexpected response type: *pgproto3.DataRow
E
