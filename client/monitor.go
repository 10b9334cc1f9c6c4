package client

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
)

// MonitorOptions say where a [Monitor] connects to. ConnInfo or ConnConfig is required.
type MonitorOptions struct {
	ConnInfo   *conninfo.Info // as in [Options]
	ConnConfig *pgconn.Config // as in [Options]
	// Timeout is how long the server may owe an answer; 0 means as long as it likes.
	Timeout time.Duration
	// Notice is told of what the server says besides; nil: nobody is.
	Notice protocol.NoticeFunc
}

// Monitor is a session that looks after the running backups of a server (§8.2): those of
// its own role, or those of every role where the server has granted it that. One goroutine
// uses it.
type Monitor struct {
	Role string // of the session

	conn *wire.Conn
}

// OpenMonitor connects. The session lives no longer than ctx; Close ends it. A server
// without the extension progress is 0A000.
func OpenMonitor(ctx context.Context, o MonitorOptions) (*Monitor, error) {
	if o.ConnInfo == nil && o.ConnConfig == nil {
		return nil, wrongOption("no server specified", "ConnInfo")
	}
	if o.Notice == nil {
		o.Notice = func(*protocol.Error) {}
	}
	dialer, err := wire.NewDialer(wire.Config{Info: o.ConnInfo, ConnConfig: o.ConnConfig, Timeout: o.Timeout, Notice: o.Notice})
	if err != nil {
		return nil, err
	}
	conn, err := dialer.First(ctx)
	if err != nil {
		return nil, err
	}
	if !conn.Has(protocol.ExtensionProgress) {
		conn.Close()
		return nil, protocol.Errorf(protocol.CodeFeatureNotSupported, "the server does not tell which backups run: it has no extension %q", protocol.ExtensionProgress).
			WithHint("Connect to \"pgparallel serve\" (its default port is 5433).")
	}
	return &Monitor{Role: conn.Parameters["session_authorization"], conn: conn}, nil
}

// Backups are the running backups, the oldest first. The error of the server is a
// *[protocol.Error]; after any other the Monitor is of no use any more.
func (m *Monitor) Backups() ([]protocol.BackupStatus, error) {
	var backups []protocol.BackupStatus
	err := m.conn.Rows(grammar.ListBackups{}.String(), func(row protocol.Row) error {
		b, err := protocol.DecodeBackupStatus(row)
		backups = append(backups, b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("could not list the backups: %w", err)
	}
	return backups, nil
}

// SetRate changes the rate of the backup whose id begins with these 8 characters. kBps is
// in kB of 1024 bytes per second, [MaxRateLower] to [MaxRateUpper], or 0 for no limit. The
// errors are as those of Backups; 42704 says that there is no such backup for this role.
func (m *Monitor) SetRate(backup string, kBps int) error {
	if err := m.conn.Command(grammar.AlterBackup{Backup: backup, MaxRate: kBps}.String()); err != nil {
		return fmt.Errorf("could not change the rate: %w", err)
	}
	return nil
}

// Close ends the session.
func (m *Monitor) Close() { m.conn.Close() }
