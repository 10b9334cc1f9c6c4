package walsender_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender"
)

// digestClient is a client that wants digests.
type digestClient struct {
	*pgconn.PgConn
	t       testing.TB
	notices []string
}

func newDigestClient(t testing.TB, addr net.Addr) *digestClient {
	t.Helper()
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=backup sslmode=disable replication=true", addr.(*net.TCPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	c := &digestClient{t: t}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { c.notices = append(c.notices, n.Message) }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	if c.PgConn, err = pgconn.ConnectConfig(ctx, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// ask sends a command and returns the rows of its result.
func (c *digestClient) ask(command string) ([]protocol.Row, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	results, err := c.Exec(ctx, command).ReadAll()
	if err != nil || len(results) != 1 {
		return nil, err
	}
	rows := make([]protocol.Row, len(results[0].Rows))
	for i, row := range results[0].Rows {
		rows[i] = row
	}
	return rows, nil
}

// list is what LIST_FILES lists with digests.
func (c *digestClient) list(command string, algorithm manifest.ChecksumAlgorithm) map[string]protocol.File {
	c.t.Helper()
	rows, err := c.ask(command)
	if err != nil {
		c.t.Fatalf("%s: %v", command, err)
	}
	files := map[string]protocol.File{}
	for _, row := range rows {
		f, err := protocol.DecodeFileChecksum(row, algorithm.Size())
		if err != nil {
			c.t.Fatal(err)
		}
		files[f.Path] = f
	}
	return files
}

// fetch is what SEND_FILE sends.
func (c *digestClient) fetch(command string) ([]byte, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	var content bytes.Buffer
	_, err := c.CopyTo(ctx, &content, command)
	return content.Bytes(), err
}

// The digests are those of what SEND_FILE sends.
func TestListFiles_8_3_Digests(t *testing.T) {
	t.Parallel()
	c := newDigestClient(t, serve(t, &walsender.Server{Cluster: sampleCluster(t)}))
	if _, err := c.ask("START_BACKUP FAST"); err != nil {
		t.Fatal(err)
	}
	for a := manifest.ChecksumCRC32C; a <= manifest.ChecksumSHA512; a++ {
		for _, tablespace := range []string{"", " '16385'"} {
			files := c.list("LIST_FILES"+tablespace+" CHECKSUM '"+strings.ToLower(a.String())+"'", a)
			for _, f := range files {
				if f.Type != protocol.TypeFile || f.Path == "global/pg_control" || a == manifest.ChecksumNone {
					if f.Checksum != "" {
						t.Errorf("%v: a digest of %q", a, f.Path)
					}
					continue
				}
				content, err := c.fetch("SEND_FILE ('" + f.Path + "')")
				if err != nil {
					t.Fatal(err)
				}
				sum := a.New()
				sum.Write(content)
				if string(sum.Sum(nil)) != f.Checksum || int64(len(content)) != f.Size {
					t.Errorf("%v of %q: %x of %d bytes, want %x of %d", a, f.Path, f.Checksum, f.Size, sum.Sum(nil), len(content))
				}
			}
			if len(files) < 10 {
				t.Errorf("%d files", len(files))
			}
		}
	}
}

// Ranges are parts of the file, however they lie to its end and to the frames.
func TestSendFile_8_3_Ranges(t *testing.T) {
	t.Parallel()
	c := newDigestClient(t, serve(t, &walsender.Server{Cluster: sampleCluster(t)}))
	if _, err := c.ask("START_BACKUP FAST"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"base/1/20000", "PG_VERSION", "pg_wal/000000010000000000000002"} {
		whole, err := c.fetch("SEND_FILE ('" + path + "')")
		if err != nil {
			t.Fatal(err)
		}
		step := int64(8192)
		if path == "PG_VERSION" {
			step = 1
		}
		size := int64(len(whole))
		for _, offset := range []int64{0, step, size / 2 / step * step, size, size + step, 1 << 49 * step} {
			for _, length := range []int64{0, step, 16 * step, 17 * step, size + step, 1 << 49 * step} {
				command := fmt.Sprintf("SEND_FILE ('%s') OFFSET %d", path, offset)
				want := whole[min(offset, size):]
				if length > 0 {
					command += fmt.Sprintf(" LENGTH %d", length)
					want = want[:min(length, int64(len(want)))]
				}
				if got, err := c.fetch(command); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, %v; want %d", command, len(got), err, len(want))
				}
			}
		}
	}
	for _, command := range []string{
		"SEND_FILE ('global/pg_control') LENGTH 8192", "SEND_FILE ('global/pg_control') OFFSET 1",
		"SEND_FILE ('base/1/20000') OFFSET 8191", "SEND_FILE ('base/1/20000_vm') LENGTH 1",
		"LIST_FILES CHECKSUM 'MD5'", "LIST_FILES CHECKSUM 'CRC32C '",
	} {
		if _, err := c.fetch(command); !protocol.HasCode(protocolError(err), protocol.CodeInvalidParameterValue) {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// protocolError is a server's error as the protocol has it.
func protocolError(err error) error {
	refused, ok := err.(*pgconn.PgError)
	if !ok {
		return err
	}
	return protocol.Errorf(refused.Code, "%s", refused.Message)
}
