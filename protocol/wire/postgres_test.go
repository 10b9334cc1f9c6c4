//go:build unix

package wire_test

import (
	"bytes"
	"net"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// What PostgreSQL answers to odd startup packets is what these packets get here.
func TestPostgreSQL_Startup(t *testing.T) {
	cluster := postgres.Require(t).NewCluster(t, postgres.InitOptions{})
	if err := cluster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(cluster.SocketDir, ".s.PGSQL."+strconv.Itoa(cluster.Port))
	for name, sent := range map[string][]byte{
		"3.9999 and options":    packet(version3|9999, "user\x00postgres\x00_pq_.b\x001\x00_pq_.a\x00\x00\x00"),
		"3.9999":                packet(version3|9999, "user\x00postgres\x00\x00"),
		"options":               packet(version3, "_pq_.\x00\x00user\x00postgres\x00\x00"),
		"no terminator":         packet(version3, "user\x00postgres\x00"),
		"behind the terminator": packet(version3, "user\x00postgres\x00\x00x"),
		"no user":               packet(version3, "database\x00d\x00\x00"),
		"empty user":            packet(version3, "user\x00\x00\x00"),
		"replication=maybe":     packet(version3, "user\x00postgres\x00replication\x00maybe\x00\x00"),
		"replication=o":         packet(version3, "user\x00postgres\x00replication\x00o\x00\x00"),
		"replication=Database":  packet(version3, "user\x00postgres\x00replication\x00Database\x00\x00"),
	} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(sent); err != nil {
			t.Fatal(err)
		}
		theirs, err := pgproto3.NewFrontend(conn, conn).Receive()
		if err != nil {
			t.Fatal(err)
		}
		var want any = theirs
		if e, failed := theirs.(*pgproto3.ErrorResponse); failed {
			want = wire.DecodeError(e)
		}
		if diff := cmp.Diff(want, answer(sent)); diff != "" {
			t.Errorf("%s (-PostgreSQL +here):\n%s", name, diff)
		}
		conn.Close()
	}
}

// answer is what this package has to say to a startup packet: an error, or what
// there is to negotiate.
func answer(sent []byte) any {
	p, err := wire.ReadStartupPacket(bytes.NewReader(sent))
	if err != nil {
		return err
	}
	m := p.(wire.StartupMessage)
	if negotiate := m.Negotiate(); negotiate != nil {
		if negotiate.UnrecognizedOptions == nil {
			negotiate.UnrecognizedOptions = []string{} // as pgproto3 decodes it
		}
		return negotiate
	}
	_, err = m.Replication()
	return err
}
