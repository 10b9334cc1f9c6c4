package walsender_test

import (
	"bufio"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestTranscripts plays the scripts in testdata/transcripts against a server of a
// sample cluster and compares what comes back. A line "A> COMMAND" is sent by session
// A, which connects as the role backup when it first speaks; "A> \quit" closes it,
// "A> \role NAME" connects it as another role. $id stands for the id of the last
// backup that was started. Indented lines are the answer.
func TestTranscripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(script)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(script, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("transcript (-want +got), -update rewrites it:\n%s", diff)
			}
		})
	}
}

// play runs a script on a cluster of its own and returns it with the answers.
func play(t *testing.T, script string) string {
	p := &player{t: t, sessions: map[string]*rawClient{}}
	p.addr = serve(t, &walsender.Server{Cluster: sampleCluster(t)})
	var out strings.Builder
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "  ") {
			continue
		}
		fmt.Fprintln(&out, line)
		if session, command, found := strings.Cut(line, "> "); found && !strings.HasPrefix(line, "#") {
			for _, answer := range p.say(session, command) {
				fmt.Fprintln(&out, "  "+answer)
			}
		}
	}
	return out.String()
}

// sampleCluster is the cluster of the transcripts: one tablespace, small, its times
// always the same.
func sampleCluster(t *testing.T) *datadir.Stopped {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	sample := walsendertest.Sample{
		SystemID:       7000000000000000001,
		WALSegmentSize: 1 << 20,
		Relations:      1,
		RelationPages:  20,
		Tablespaces:    []walsendertest.SampleTablespace{{OID: 16385}},
	}
	if err := sample.Write(dir); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		return os.Chtimes(path, when, when)
	})
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := datadir.Open(dir, datadir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Close() })
	return cluster
}

// player plays one script.
type player struct {
	t        *testing.T
	addr     net.Addr
	sessions map[string]*rawClient
	id       string
}

func (p *player) say(session, command string) []string {
	switch verb, role, _ := strings.Cut(command, " "); {
	case verb == `\quit`:
		p.sessions[session].Conn.Close()
		return nil
	case verb == `\role`:
		p.sessions[session] = connect(p.t, p.addr, role)
		return nil
	case p.sessions[session] == nil:
		p.sessions[session] = connect(p.t, p.addr, "backup")
	}
	answer := p.ask(p.sessions[session], strings.ReplaceAll(command, "$id", p.id))
	if strings.HasPrefix(answer[0], "RowDescription (startptr text, tli int8, backup_label text, unique_backup_id") {
		p.id = value(p.t, answer, 3)
	}
	if strings.HasPrefix(command, "LIST_FILES") {
		sortRows(answer)
	}
	return collapse(p.hide(answer))
}

// ask sends a command and returns its answer: that of START_REPLICATION up to the first
// keepalive, that of CopyDone from there on.
func (p *player) ask(c *rawClient, command string) (answer []string) {
	switch {
	case command == "CopyDone":
		c.Write([]byte{'c', 0, 0, 0, 4})
		return c.answer()
	case !strings.HasPrefix(command, "START_REPLICATION"):
		return c.query(command)
	}
	c.Send(command)
	for {
		line := c.message()
		answer = append(answer, line)
		if line == "CopyData 18 bytes" || strings.HasPrefix(line, "ReadyForQuery") {
			return answer
		}
	}
}

// hide puts $id in the place of ids, whole and cut.
func (p *player) hide(answer []string) []string {
	if p.id == "" {
		return answer
	}
	for i, line := range answer {
		answer[i] = strings.ReplaceAll(strings.ReplaceAll(line, p.id, "$id"), p.id[:8], "$id8")
	}
	return answer
}

// sortRows sorts the rows of a listing, which the file system gives in any order,
// all but the control file: that one is the last.
func sortRows(answer []string) {
	first := slices.IndexFunc(answer, func(l string) bool { return strings.HasPrefix(l, "DataRow") })
	end := slices.IndexFunc(answer, func(l string) bool {
		return strings.HasPrefix(l, "CommandComplete") || strings.Contains(l, `"global/pg_control"`)
	})
	if first >= 0 && end > first {
		slices.Sort(answer[first:end])
	}
}

// collapse writes what is said several times in a row once.
func collapse(answer []string) []string {
	var out []string
	for i := 0; i < len(answer); {
		n := 1
		for i+n < len(answer) && answer[i+n] == answer[i] {
			n++
		}
		line := answer[i]
		if n > 1 {
			line += fmt.Sprintf(" (%d times)", n)
		}
		out = append(out, line)
		i += n
	}
	return out
}
