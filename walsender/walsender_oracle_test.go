package walsender_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// PostgreSQL's walsender is the oracle for the messages of §9.2: the same commands are said
// to it and, once its cluster is stopped, to this server.
func TestWALSenderOracle_9_2(t *testing.T) { testOracle(t, postgres.Require(t)) }

// TestMajors_WALSenderOracle_Long is TestWALSenderOracle_9_2 for all versions.
func TestMajors_WALSenderOracle_Long(t *testing.T) {
	longtest.Mark(t)
	for _, major := range postgres.Majors() {
		t.Run(fmt.Sprint(major), func(t *testing.T) { testOracle(t, postgres.RequireMajor(t, major)) })
	}
}

func testOracle(t *testing.T, p postgres.Programs) {
	ctx := t.Context()
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{"wal_keep_size": "64MB", "autovacuum": "off"}})
	must(t, c.Start(ctx))
	must(t, c.Stop(ctx, postgres.Fast))
	must(t, os.WriteFile(filepath.Join(c.Dir, "standby.signal"), nil, 0o600))
	must(t, p.Own(filepath.Join(c.Dir, "standby.signal")))
	must(t, c.Start(ctx))
	must(t, c.Promote(ctx))
	query(t, c, "create table t as select generate_series(1, 30000)")
	script := oracleScript(t, c)
	oracle := &net.UnixAddr{Name: fmt.Sprintf("%s/.s.PGSQL.%d", c.SocketDir, c.Port), Net: "unix"}
	want, wantForm := playOracle(t, oracle, script), positionForm(t, oracle)
	must(t, c.Stop(ctx, postgres.Fast))
	addr, _ := serveCluster(t, c)
	if form := positionForm(t, addr); form != wantForm {
		t.Errorf("IDENTIFY_SYSTEM has a position like %s, PostgreSQL's is like %s", form, wantForm)
	}
	got := playOracle(t, addr, script)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-PostgreSQL +this server):\n%s", diff)
	}
}

// positionForm is the position of IDENTIFY_SYSTEM with other digits: there are as many, for the
// cluster is small.
func positionForm(t *testing.T, addr net.Addr) string {
	position := value(t, connect(t, addr, "postgres").query("IDENTIFY_SYSTEM"), 2)
	return regexp.MustCompile("[0-9A-F]").ReplaceAllString(position, "0")
}

// oracleScript are commands whose answers do not depend on how far the WAL is.
func oracleScript(t *testing.T, c *postgres.Cluster) []string {
	names := segmentsOf(t, c)
	first := regexp.MustCompile("^00000002.{16}$")
	begin := ""
	for _, name := range names {
		if begin == "" && first.MatchString(name) {
			var segment uint64
			_, err := fmt.Sscanf(name[16:], "%X", &segment)
			must(t, err)
			begin = fmt.Sprintf("0/%X", segment<<20)
		}
	}
	script := []string{
		"CREATE_REPLICATION_SLOT a TEMPORARY PHYSICAL",
		"START_REPLICATION SLOT a PHYSICAL " + begin + " TIMELINE 2",
		"CREATE_REPLICATION_SLOT a TEMPORARY PHYSICAL RESERVE_WAL",
		"DROP_REPLICATION_SLOT a",
		"CREATE_REPLICATION_SLOT a TEMPORARY PHYSICAL RESERVE_WAL",
		"DROP_REPLICATION_SLOT a",
		`CREATE_REPLICATION_SLOT "B" PHYSICAL`,
		`CREATE_REPLICATION_SLOT "a-b" TEMPORARY PHYSICAL`,
		"START_REPLICATION SLOT nosuch 0/1000000",
		"DROP_REPLICATION_SLOT nosuch WAIT",
		"START_REPLICATION " + begin,
		"START_REPLICATION PHYSICAL " + begin + " TIMELINE 1",
		"START_REPLICATION 0/1000000 TIMELINE 5",
		"START_REPLICATION F/0 TIMELINE 1",
		"START_REPLICATION F/F0 TIMELINE 2",
		"START_REPLICATION 0/10",
		"START_REPLICATION 0/10 TIMELINE 1",
	}
	if c.Programs.Major >= 15 {
		script = append(script,
			"CREATE_REPLICATION_SLOT a TEMPORARY PHYSICAL",
			"READ_REPLICATION_SLOT a",
			"DROP_REPLICATION_SLOT a",
			"READ_REPLICATION_SLOT nosuch",
			"CREATE_REPLICATION_SLOT a TEMPORARY PHYSICAL ( RESERVE_WAL)",
			"READ_REPLICATION_SLOT a",
			"CREATE_REPLICATION_SLOT b TEMPORARY PHYSICAL (reserve_wal, reserve_wal)",
			"CREATE_REPLICATION_SLOT b TEMPORARY PHYSICAL (reserve_wal 2)",
			"CREATE_REPLICATION_SLOT b TEMPORARY PHYSICAL (two_phase)",
			"CREATE_REPLICATION_SLOT b TEMPORARY PHYSICAL (color)",
			"READ_REPLICATION_SLOT a",
			"CREATE_REPLICATION_SLOT b TEMPORARY PHYSICAL (reserve_wal off)",
			"READ_REPLICATION_SLOT b",
		)
	}
	return script
}

// oracleEnd is where the WAL ends, or a slot begins to keep it: the cluster was stopped in
// between.
var oracleEnd = regexp.MustCompile(`(flush position of this server |physical)[^/|]*/[0-9A-F]+`)

// playOracle says commands to a server and returns its answers.
func playOracle(t *testing.T, addr net.Addr, script []string) (lines []string) {
	c := connect(t, addr, "postgres")
	for _, command := range script {
		lines = append(lines, "> "+command)
		for _, line := range playCommand(c, command) {
			lines = append(lines, "  "+oracleEnd.ReplaceAllString(line, "${1}END"))
		}
	}
	return lines
}

// playCommand says a command. In a stream it asks for a keepalive once what there is has
// arrived, and ends the copy.
func playCommand(c *rawClient, command string) (lines []string) {
	c.Send(command)
	older, asked := strings.HasSuffix(command, "TIMELINE 1"), false
	for {
		kind, body, err := c.Next()
		if err != nil {
			return append(lines, err.Error())
		}
		switch {
		case kind == 'd' && body[0] == 'w':
			if lines[len(lines)-1] != "WAL" {
				lines = append(lines, "WAL")
			}
			begin, end := binary.BigEndian.Uint64(body[1:]), binary.BigEndian.Uint64(body[9:])
			if !older && begin+uint64(len(body)-25) == end {
				asked = true
				(&streamClient{rawClient: c}).status(0, 1)
			}
		case kind == 'd' && asked: // before that, a keepalive is this server's own
			asked = false
			lines = append(lines, fmt.Sprintf("%c, %d bytes", body[0], len(body)))
			(&streamClient{rawClient: c}).done()
		case kind == 'd':
		case kind == 'c' && older:
			(&streamClient{rawClient: c}).done()
			fallthrough
		default:
			lines = append(lines, oracleMessage(kind, body))
		}
		if kind == 'Z' {
			return lines
		}
	}
}

// oracleMessage is a message as it is, but for where in PostgreSQL's source an error is.
func oracleMessage(kind byte, body []byte) string {
	if kind != 'E' {
		return fmt.Sprintf("%c %q", kind, body)
	}
	var e pgproto3.ErrorResponse
	if err := e.Decode(body); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("E %s %s %s | %s | %s", e.Severity, e.Code, e.Message, e.Detail, e.Hint)
}
