package livecluster_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// damages are what may become of a page on disk, or of one that is just being written.
// Each has a table of its name.
var damages = []struct {
	name   string
	damage func(page []byte, end protocol.LSN) // end is the end of the WAL
	mended bool                                // by WAL replay: the page was written since the start
}{
	{"bits", func(page []byte, _ protocol.LSN) { copy(page[8000:], "damage") }, false},
	{"ones", func(page []byte, _ protocol.LSN) { copy(page, bytes.Repeat([]byte{0xFF}, len(page))) }, false},
	{"noise", func(page []byte, _ protocol.LSN) {
		random := rand.New(rand.NewPCG(1, 2))
		for i := range page {
			page[i] = byte(random.Uint32())
		}
	}, false},
	{"text", func(page []byte, _ protocol.LSN) {
		copy(page, bytes.Repeat([]byte("Lorem ipsum dolor sit amet. "), 300))
	}, false},
	{"sector", func(page []byte, _ protocol.LSN) { clear(page[:512]) }, false},
	{"upper", func(page []byte, _ protocol.LSN) { clear(page[14:16]) }, false},
	{"high_word", func(page []byte, _ protocol.LSN) { copy(page, "\xFF\xFF\xFF\xFF") }, false},
	{"ahead", func(page []byte, end protocol.LSN) { putLSN(page, end+3<<20) }, false},
	{"torn", func(page []byte, _ protocol.LSN) { clear(page[4096:]) }, true},
}

func putLSN(page []byte, lsn protocol.LSN) {
	binary.LittleEndian.PutUint32(page, uint32(lsn>>32))
	binary.LittleEndian.PutUint32(page[4:], uint32(lsn))
}

// TestSendFile_4_6_DamagedPages damages pages on disk that PostgreSQL has read, and does
// not write: each is told, but for the one that replay would bring back.
func TestSendFile_4_6_DamagedPages(t *testing.T) {
	t.Parallel()
	primary := newPrimary(t, map[string]string{"max_wal_size": "8MB", "min_wal_size": "8MB", "autovacuum": "off"})
	for _, d := range damages {
		sql(t, primary, "CREATE TABLE "+d.name+" AS SELECT g FROM generate_series(1, 1000) g")
	}
	// Segments are recycled, and wait under names of the future.
	sql(t, primary, "CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 12000)")
	sql(t, primary, "DROP TABLE filler; CHECKPOINT")
	standby := newStandby(t, primary)
	catchUp(t, primary, standby)
	for name, c := range map[string]*postgres.Cluster{"primary": primary, "standby": standby} {
		t.Run(name, func(t *testing.T) { checkDamages(t, primary, c) })
	}
}

func checkDamages(t *testing.T, primary, c *postgres.Cluster) {
	s := serve(t, c)
	sql(t, c, "CHECKPOINT")
	config, err := pgconn.ParseConfig(s.through() + " replication=true")
	must(t, err)
	var told []string
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { told = append(told, n.Message) }
	leader, err := pgconn.ConnectConfig(t.Context(), config)
	must(t, err)
	t.Cleanup(func() { closeConn(leader) })
	row(t, leader, "START_BACKUP FAST")

	sql(t, primary, "UPDATE torn SET g = -g; CHECKPOINT")
	end, err := protocol.ParseLSN(sql(t, primary, "SELECT pg_current_wal_lsn()"))
	must(t, err)
	if c != primary {
		catchUp(t, primary, c)
		sql(t, c, "CHECKPOINT")
	}
	failures := 0
	for _, d := range damages {
		path := sql(t, c, fmt.Sprintf("SELECT pg_relation_filepath('%s')", d.name))
		damagePage(t, filepath.Join(c.Dir, path), func(page []byte) { d.damage(page, end) })
		told = nil
		must(t, sendFile(t, leader, path))
		want := `checksum verification failed in file "./` + path + `", block 1: `
		switch {
		case d.mended && len(told) > 0:
			t.Errorf("%s: %q, though replay mends the page", d.name, told)
		case !d.mended && (len(told) != 1 || !strings.HasPrefix(told[0], want)):
			t.Errorf("%s: the server tells %q", d.name, told)
		}
		if !d.mended {
			failures++
		}
	}
	must(t, sendFile(t, leader, "global/pg_control"))
	told = nil
	results, err := command(t, leader, "STOP_BACKUP NOWAIT")
	expectCode(t, err, "XX001")
	if want := fmt.Sprintf("%d total checksum verification failures", failures); len(told) != 1 || told[0] != want {
		t.Errorf("STOP_BACKUP tells %q, expected %q", told, want)
	}
	if len(results) == 0 || len(results[0].Rows) != 1 {
		t.Errorf("STOP_BACKUP has %d results", len(results))
	}
}

// damagePage changes block 1 of a relation's file.
func damagePage(t *testing.T, name string, damage func(page []byte)) {
	t.Helper()
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	page := make([]byte, 8192)
	_, err = file.ReadAt(page, 8192)
	must(t, err)
	damage(page)
	_, err = file.WriteAt(page, 8192)
	must(t, err)
}
