package conformance_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/conformance"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// mistake is what a wrong server does on the wire, in the place of a right one.
type mistake struct {
	name    string
	command func(text string) string                   // how it takes a command, of the same length; may be nil
	message func(kind byte, body []byte) (said []byte) // what it says; nil for nothing; may be nil
	fails   string                                     // cases
}

// instead says something else of the same length.
func instead(kind byte, old, other string) func(byte, []byte) []byte {
	return func(k byte, body []byte) []byte {
		if k == kind {
			body = bytes.Replace(body, []byte(old), []byte(other), 1)
		}
		return body
	}
}

// misread takes a command as another one.
func misread(old, other string) func(string) string {
	return func(text string) string {
		return strings.Replace(text, old, other+strings.Repeat(" ", len(old)-len(other)), 1)
	}
}

var stockMistakes = []mistake{
	{"no reports of the progress", nil, func(kind byte, body []byte) []byte {
		if kind == 'd' && body[0] == 'p' {
			return nil
		}
		return body
	}, "S-BASEBACKUP/001 S-BASEBACKUP/007"},
	{"a progress of its own", nil, func(kind byte, body []byte) []byte {
		if kind == 'd' && body[0] == 'p' {
			body[8]++
		}
		return body
	}, "S-BASEBACKUP/001"},
	{"another name for the archive", nil, instead('d', "base.tar", "data.tar"), "S-BASEBACKUP/001 S-BASEBACKUP/002"},
	{"another name for a column", nil, instead('T', "spcoid", "spcOID"), "S-BASEBACKUP/002"},
	{"sizes that nobody asked for", misread("LABEL 'conformance'", "PROGRESS"), nil, "S-BASEBACKUP/002"},
	{"a label in the place of PG_VERSION", nil, instead('d', "PG_VERSION\x00\x00\x00", "QG_VERSION\x00\x00\x00"), "S-BASEBACKUP/003"},
	{"WAL in every archive", misread("TABLESPACE_MAP", "WAL"), nil, "S-BASEBACKUP/003"},
	{"a manifest of other bytes", nil, instead('d', `"Size": `, `"Size": 1`), "S-BASEBACKUP/004"},
	{"no encoding", misread("MANIFEST 'force-encode'", "MANIFEST 'yes'"), nil, "S-BASEBACKUP/005"},
	{"no algorithm but its own", misread("MANIFEST_CHECKSUMS 'SHA224'", "MANIFEST_CHECKSUMS 'NONE'"), nil, "S-BASEBACKUP/005"},
	{"no WAL", misread(", WAL", ""), nil, "S-BASEBACKUP/006"},
	{"no compression", misread(", COMPRESSION 'gzip', COMPRESSION_DETAIL '1'", ""), nil, "S-BASEBACKUP/007"},
	{"one SQLSTATE for all", nil, instead('E', "C42601\x00", "C22023\x00"),
		"S-BASEBACKUP/008 S-BASEBACKUP/009 S-BASEBACKUP/010 S-BASEBACKUP/011 S-BASEBACKUP/012 S-REPLICATION/002 S-REPLICATION/009 S-SLOT/006"},
	{"its own words", nil, instead('E', "unrecognized", "unknown here"), "S-BASEBACKUP/008 S-BASEBACKUP/009 S-BASEBACKUP/010 S-BASEBACKUP/011"},
	{"no bounds", nil, instead('E', "C22003\x00", "C22023\x00"), "S-BASEBACKUP/012"},
	{"another tag", nil, instead('C', "IDENTIFY_SYSTEM", "IDENTIFY_SERVER"), "S-REPLICATION/001 S-REPLICATION/005"},
	{"files that are not there by another SQLSTATE", nil, instead('E', "C58P01\x00", "C58030\x00"), "S-REPLICATION/002 S-REPLICATION/005"},
	{"history in another column", nil, instead('T', "content", "history"), "S-REPLICATION/003"},
	{"a gap in the WAL", nil, func(kind byte, body []byte) []byte {
		if kind == 'd' && body[0] == 'w' {
			body[8] += 8
		}
		return body
	}, "S-REPLICATION/004 S-REPLICATION/008"},
	{"pages of another place", nil, func(kind byte, body []byte) []byte {
		if kind == 'd' && body[0] == 'w' {
			body[25+8]++
		}
		return body
	}, "S-REPLICATION/004"},
	{"no word about what is ahead", nil, instead('E', "CXX000\x00", "C55000\x00"), "S-REPLICATION/006 S-REPLICATION/007 S-REPLICATION/008"},
	{"another next timeline", nil, instead('D', "\x00\x00\x00\x012", "\x00\x00\x00\x013"), "S-REPLICATION/008"},
	{"a break that is an end", nil, instead('E', "C08P01\x00", "C57014\x00"), "S-REPLICATION/010 S-REPLICATION/011"},
	{"a break that is no end", nil, instead('E', "SFATAL\x00", "SERROR\x00"), "S-REPLICATION/011"},
	{"a slot of another name", nil, instead('D', "pgparallel_", "PGPARALLEL_"), "S-SLOT/001 S-SLOT/008"},
	{"a name that is taken twice", nil, instead('E', "C42710\x00", "C55006\x00"), "S-SLOT/002"},
	{"no SQLSTATE for what does not exist", nil, instead('E', "C42704\x00", "C55000\x00"), "S-SLOT/003 S-SLOT/007"},
	{"a slot that there is not", nil, instead('D', "\x00\x03\xff\xff\xff\xff", "\x00\x03\x00\x00\x00\x00"), "S-SLOT/004"},
	{"a slot that keeps nothing", misread("(RESERVE_WAL)", ""), nil, "S-SLOT/004"},
	{"any name", nil, instead('E', "C42602\x00", "C42601\x00"), "S-SLOT/005"},
	{"a slot for two", nil, instead('E', "C55006\x00", "C55000\x00"), "S-SLOT/008"},
	{"WAL from its end on", nil, instead('D', "0/200028", "0/2000A0"), "S-SLOT/009"},
}

// wrongConn is a connection to a server that makes a mistake.
type wrongConn struct {
	net.Conn
	mistake mistake
	ahead   []byte // what is to be read
}

func (c *wrongConn) Read(p []byte) (int, error) {
	for len(c.ahead) == 0 {
		head := make([]byte, 5)
		if _, err := io.ReadFull(c.Conn, head); err != nil {
			return 0, err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(c.Conn, body); err != nil {
			return 0, err
		}
		if c.mistake.message != nil {
			if body = c.mistake.message(head[0], body); body == nil {
				continue
			}
		}
		c.ahead = append(binary.BigEndian.AppendUint32(head[:1], uint32(len(body)+4)), body...)
	}
	n := copy(p, c.ahead)
	c.ahead = c.ahead[n:]
	return n, nil
}

func (c *wrongConn) Write(p []byte) (int, error) {
	if c.mistake.command == nil || p[0] != 'Q' {
		return c.Conn.Write(p)
	}
	return c.Conn.Write([]byte(c.mistake.command(string(p))))
}

// stockCluster is a stopped one that all cases about PostgreSQL's own commands are for.
func stockCluster() *walsendertest.Cluster {
	return &walsendertest.Cluster{Sample: walsendertest.Sample{
		Timeline: 2, Databases: 1, Relations: 1, Tablespaces: []walsendertest.SampleTablespace{{OID: 16500, Location: "/elsewhere"}},
	}}
}

// TestCheckServer_BitesStock has servers that make mistakes fail the cases about PostgreSQL's
// own commands, and each of these cases be failed.
func TestCheckServer_BitesStock(t *testing.T) {
	server := walsendertest.NewServer(t, stockCluster())
	failed := map[string]bool{}
	for _, mistake := range append(stockMistakes, mistake{name: "none"}) {
		t.Run(mistake.name, func(t *testing.T) {
			config, err := server.ConnConfig()
			if err != nil {
				t.Fatal(err)
			}
			dial := config.DialFunc
			config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial(ctx, network, address)
				return &wrongConn{Conn: c, mistake: mistake}, err
			}
			o := conformance.ServerOptions{Config: config, Select: strings.Fields(mistake.fails)}
			if mistake.fails == "" {
				o.Select = []string{"S-BASEBACKUP", "S-REPLICATION", "S-SLOT"}
			}
			for _, result := range checked(t, server, o).Results {
				failed[result.ID] = failed[result.ID] || result.Verdict == conformance.Fail
				if (result.Verdict == conformance.Fail) != (mistake.fails != "") {
					t.Errorf("%s: %s: %s\n%s", result.ID, result.Verdict, result.Happened, result.Diff)
				}
			}
		})
	}
	for id, bites := range failed {
		if !bites {
			t.Errorf("%s is failed by no server that makes a mistake", id)
		}
	}
}

// TestCheckServer_BitesFaults has manifests whose checksums are wrong, and silence where a
// keepalive is due, fail cases.
func TestCheckServer_BitesFaults(t *testing.T) {
	for _, test := range []struct {
		fault walsendertest.Fault
		fails string
	}{
		{walsendertest.WrongManifest("PG_VERSION"), "S-BASEBACKUP/004"},
		{walsendertest.DamagedManifest(), "S-BASEBACKUP/004"},
		{walsendertest.CutArchive("base.tar", 5000), "S-BASEBACKUP/003"},
		{walsendertest.KeepaliveSilence(), "S-REPLICATION/004"},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a keepalive is waited for
				server := &walsendertest.Server{Cluster: stockCluster(), InMemory: true, Faults: []walsendertest.Fault{test.fault}}
				server.StartTest(t)
				failsCase(t, server, test.fails)
			})
		})
	}
}

// TestCheckServer_StockLeftOut has a server that answers only some families of commands be
// excused from the cases about the others, with its own words as the reason.
func TestCheckServer_StockLeftOut(t *testing.T) {
	server := &walsendertest.Server{Config: walsender.Server{Commands: walsender.ParallelBackup}}
	server.StartTest(t)
	report := checked(t, server, conformance.ServerOptions{Strict: true, Select: []string{"S-BASEBACKUP/001", "S-REPLICATION/005", "S-SLOT/001", "S-OTHER/001"}})
	want := []string{
		"S-OTHER/001 pass ",
		`S-BASEBACKUP/001 not supported unrecognized replication command "BASE_BACKUP"`,
		`S-REPLICATION/005 not supported unrecognized replication command "DROP_REPLICATION_SLOT"`,
		`S-SLOT/001 not supported unrecognized replication command "DROP_REPLICATION_SLOT"`,
	}
	var got []string
	for _, r := range report.Results {
		got = append(got, r.ID+" "+string(r.Verdict)+" "+r.Happened)
	}
	if diff := cmp.Diff(want, got); diff != "" || !report.OK() {
		t.Errorf("OK: %v, results (-want +got):\n%s", report.OK(), diff)
	}
}
