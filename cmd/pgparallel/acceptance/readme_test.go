package acceptance_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// readmeTree is the directory in which README's examples take place.
const readmeTree = "/srv/pg"

// TestReadme runs the commands of the examples in README and in docs, one after the other,
// on a cluster as they have it, and holds what they print to what is shown. Numbers, locations
// and the width of columns may be others; a line "…" stands for any lines.
func TestReadme(t *testing.T) {
	t.Parallel()
	r := newReadme(t)
	for _, chapter := range []struct{ document, section string }{
		{"README.md", "Backing up a cluster"},
		{"cmd/pgparallel/docs/stock-clients.md", "A stopped cluster"},
		{"cmd/pgparallel/docs/running-clusters.md", ""},
		{"cmd/pgparallel/docs/refresh.md", ""},
		{"cmd/pgparallel/docs/network.md", "In five minutes"},
		{"cmd/pgparallel/docs/restoring.md", ""},
		{"cmd/pgparallel/docs/your-own-client.md", "The commands of the protocol"},
		{"cmd/pgparallel/docs/stock-clients.md", "A backup: replicas and restores without the primary"}, // the last: its server needs the cluster no more
	} {
		examples := readmeExamples(t, chapter.document, chapter.section)
		if len(examples) == 0 {
			t.Errorf("%s has no example in section %q", chapter.document, chapter.section)
		}
		for _, e := range examples {
			r.try(t, e)
		}
	}
}

// example is a command of README, and what it prints.
type example struct {
	prompt  string // "$", or "postgres=#" for SQL
	command string
	output  []string
}

// readmeExamples are the commands of a section, or of the whole document if that has no
// name: the indented lines that begin with a prompt.
func readmeExamples(t *testing.T, document, section string) []example {
	t.Helper()
	page, err := os.ReadFile("../../../" + document)
	must(t, err)
	text := string(page)
	if section != "" {
		var found bool
		if _, text, found = strings.Cut(text, "\n## "+section+"\n"); !found {
			t.Fatalf("%s has no section %q", document, section)
		}
		text, _, _ = strings.Cut(text, "\n## ")
	}
	var examples []example
	shown := false // the lines are those of a command
	for line := range strings.Lines(text) {
		line, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		prompt, command, _ := strings.Cut(line, " ")
		switch {
		case indented && (prompt == "$" || prompt == "postgres=#"):
			examples = append(examples, example{prompt: prompt, command: command})
			shown = true
		case indented && prompt == "postgres-#":
			examples[len(examples)-1].command += "\n" + command
		case indented && shown:
			last := &examples[len(examples)-1]
			last.output = append(last.output, line)
		case line != "":
			shown = false
		}
	}
	return examples
}

// readme is the place where README's examples are run.
type readme struct {
	programs postgres.Programs
	tree     string
	oid      string   // of the tablespace
	port     string   // that README's server listens on
	server   *process // the "pgparallel serve" that runs; nil: none
}

// newReadme makes the running cluster that README starts with.
func newReadme(t *testing.T) *readme {
	p := postgres.Require(t)
	r := &readme{programs: p, tree: p.TempDir(t), port: freePort(t)}
	program, err := build()
	must(t, err)
	succeed(t, exec.Command("cp", program, r.tree)) // the cluster's owner may not get to where it is
	socketDir := socketDir(t)                       // the tree's own name may be too long for a socket
	must(t, p.Own(socketDir))
	for _, step := range []string{
		"ln -s " + socketDir + " /srv/pg/run",
		"mkdir /srv/pg/fast /srv/pg/archive",
		"initdb -D /srv/pg/main -A trust -U postgres -E UTF8 --locale=C --no-sync -k",
		`cat >> /srv/pg/main/postgresql.conf <<'END'
unix_socket_directories = '/srv/pg/run'
listen_addresses = ''
fsync = off
archive_mode = on
archive_command = 'cp %p /srv/pg/archive/%f'
END`,
		"pg_ctl -D /srv/pg/main -l /srv/pg/main.log start",
		`psql -h /srv/pg/run -d postgres -c "create tablespace fast location '/srv/pg/fast'"`,
		"pgbench -h /srv/pg/run -i -q --tablespace=fast postgres",
	} {
		r.run(t, step)
	}
	r.oid = strings.TrimSpace(r.run(t, `psql -h /srv/pg/run -d postgres -Atc "select oid from pg_tablespace where spcname = 'fast'"`))
	t.Cleanup(func() {
		stop := "for d in /srv/pg/*/postmaster.pid; do pg_ctl -D $(dirname $d) -m immediate stop; done"
		if out, err := r.shell(t, stop).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	return r
}

// freePort is the number of a TCP port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	must(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// shell has a shell run a command of README, as the owner of the cluster, in the tree of
// this test.
func (r *readme) shell(t *testing.T, command string) *exec.Cmd {
	t.Helper()
	command = strings.ReplaceAll(command, readmeTree, r.tree)
	command = strings.NewReplacer("db1.example", "localhost", "6543", r.port).Replace(command)
	if r.oid != "" {
		command = strings.ReplaceAll(command, "16389", r.oid)
	}
	cmd := r.programs.Command(context.WithoutCancel(t.Context()), "/bin/bash", "-c", command)
	cmd.Env = append(cmd.Env, "PATH="+r.tree+":"+r.programs.BinDir+":/usr/bin:/bin", "PGUSER=postgres")
	return cmd
}

func (r *readme) run(t *testing.T, command string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := r.shell(t, command)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, &out)
	}
	return out.String()
}

// try runs an example. A new "pgparallel serve" takes the place of the one that runs.
func (r *readme) try(t *testing.T, e example) {
	t.Helper()
	switch {
	case e.prompt != "$":
		quoted := "'" + strings.ReplaceAll(e.command, "'", `'\''`) + "'"
		r.run(t, "psql -h /srv/pg/run -d postgres -v ON_ERROR_STOP=1 -c "+quoted)
	case strings.HasPrefix(e.command, "pgparallel serve"):
		if r.server != nil {
			r.server.signal(unix.SIGTERM)
			r.server.wait(t)
		}
		r.server = start(t, r.shell(t, "exec "+e.command))
		if !r.server.stderr.waitFor("ready to serve base backups", r.server.ended) {
			t.Fatalf("the server did not start:\n%s", r.server.stderr.String())
		}
		r.compare(t, e, r.server.stderr.String())
	default:
		r.compare(t, e, r.run(t, e.command))
	}
}

// compare holds what a command printed to what README shows.
func (r *readme) compare(t *testing.T, e example, printed string) {
	t.Helper()
	printed = strings.ReplaceAll(printed, r.tree, readmeTree)
	want, got := comparable(e.output), comparable(strings.Split(printed, "\n"))
	if !occur(want, got) {
		t.Errorf("README shows something else for %q (-README +today):\n%s\n%s", e.command, cmp.Diff(want, got), printed)
	}
}

var (
	ofProgress = regexp.MustCompile(`^\s*\d+/\d+ kB`)
	variable   = []struct {
		pattern *regexp.Regexp
		with    string
	}{
		{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ID"},
		{regexp.MustCompile(`\b[0-9A-F]+/[0-9A-F]+\b`), "LSN"},
		{regexp.MustCompile(`\b[0-9A-F]{24}\b`), "0"}, // a segment of WAL
		{regexp.MustCompile(`\S*\.s\.PGSQL\.\d+`), "SOCKET"},
		{regexp.MustCompile(`[0-9]+`), "0"},
		{regexp.MustCompile(`\.{2,}`), ".."},
		{regexp.MustCompile(`-{2,}`), "--"},
		{regexp.MustCompile(`\s+`), " "},
	}
)

// comparable are lines without what is another each time: reports of progress, numbers,
// and the width of columns.
func comparable(lines []string) []string {
	var kept []string
	for _, line := range lines {
		if strings.TrimSpace(line) == "" || ofProgress.MatchString(line) {
			continue
		}
		for _, v := range variable {
			line = v.pattern.ReplaceAllString(line, v.with)
		}
		kept = append(kept, strings.TrimSpace(line))
	}
	return kept
}

// occur reports whether the lines are those of the pattern, in which "…" stands for any
// number of them.
func occur(pattern, lines []string) bool {
	if len(pattern) == 0 {
		return len(lines) == 0
	}
	if pattern[0] == "…" {
		return occur(pattern[1:], lines) || len(lines) > 0 && occur(pattern, lines[1:])
	}
	return len(lines) > 0 && pattern[0] == lines[0] && occur(pattern[1:], lines[1:])
}
