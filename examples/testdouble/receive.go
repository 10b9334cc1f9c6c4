package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// receiveWAL writes the WAL of a timeline to w, from start to where the server says that the
// timeline has ended, and tells the next one. It ends with an error when the server has said
// nothing for the time of silence.
func receiveWAL(ctx context.Context, conn *pgconn.PgConn, w io.Writer, start pglogrepl.LSN, timeline int32, silence time.Duration) (next *pglogrepl.CopyDoneResult, err error) {
	// The slot goes with the session. Without one, pglogrepl's command is not valid.
	slot := pglogrepl.CreateReplicationSlotOptions{Temporary: true, Mode: pglogrepl.PhysicalReplication}
	if _, err := pglogrepl.CreateReplicationSlot(ctx, conn, "receiver", "", slot); err != nil {
		return nil, err
	}
	options := pglogrepl.StartReplicationOptions{Timeline: timeline, Mode: pglogrepl.PhysicalReplication}
	if err := pglogrepl.StartReplication(ctx, conn, "receiver", start, options); err != nil {
		return nil, err
	}
	for {
		message, err := hear(ctx, conn, silence)
		if err != nil {
			return nil, fmt.Errorf("receiving WAL: %w", err)
		}
		switch m := message.(type) {
		case *pgproto3.CopyDone:
			return pglogrepl.SendStandbyCopyDone(ctx, conn)
		case *pgproto3.ErrorResponse:
			return nil, pgconn.ErrorResponseToPgError(m)
		case *pgproto3.CopyData:
			if m.Data[0] != pglogrepl.XLogDataByteID {
				continue // a keepalive
			}
			data, err := pglogrepl.ParseXLogData(m.Data[1:])
			if err != nil {
				return nil, err
			}
			if _, err := w.Write(data.WALData); err != nil {
				return nil, err
			}
		}
	}
}

// hear waits for a message, but not for longer than the time of silence.
func hear(ctx context.Context, conn *pgconn.PgConn, silence time.Duration) (pgproto3.BackendMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	return conn.ReceiveMessage(ctx)
}
