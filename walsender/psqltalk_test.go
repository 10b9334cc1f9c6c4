package walsender_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// serveSample serves the cluster of the transcripts.
func serveSample(t *testing.T) net.Addr {
	t.Helper()
	return serve(t, &walsender.Server{Cluster: sampleCluster(t)})
}

// writeSample writes a small cluster.
func writeSample(t *testing.T, sample walsendertest.Sample) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	sample.WALSegmentSize = 1 << 20
	if err := sample.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openCluster(t *testing.T, dir string) *datadir.Stopped {
	t.Helper()
	cluster, err := datadir.Open(dir, datadir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cluster.Close() })
	return cluster
}

// talk is with psql, one that is held open for each session. In its scripts the line
// "A> COMMAND" is typed in session A, and what psql prints follows. $id stands for the
// id of the last backup that was started, $id8 for that id as messages show it.
type talk struct {
	t        *testing.T
	programs postgres.Programs
	addr     net.Addr
	sessions map[string]*psql
	ids      []string // of the backups that were started
}

func newTalk(t *testing.T, addr net.Addr) *talk {
	return &talk{t: t, programs: postgres.Require(t), addr: addr, sessions: map[string]*psql{}}
}

// check plays a script and compares what psql prints with what it says there.
func (k *talk) check(script string) {
	k.t.Helper()
	script = strings.TrimPrefix(script, "\n")
	got := k.play(script)
	if diff := cmp.Diff(strings.Split(script, "\n"), strings.Split(got, "\n")); diff != "" {
		k.t.Errorf("psql (-want +got):\n%s", diff)
	}
}

// play types the commands of a script and returns it with what psql prints.
func (k *talk) play(script string) string {
	var out strings.Builder
	for line := range strings.Lines(script) {
		session, command, found := strings.Cut(strings.TrimSuffix(line, "\n"), "> ")
		if !found || len(session) != 1 {
			continue
		}
		out.WriteString(line)
		for _, printed := range k.say(session, command) {
			out.WriteString(printed)
		}
	}
	return out.String()
}

// What differs from run to run.
var (
	idInRow       = regexp.MustCompile(`\|([0-9a-f]{32})\n`) // of START_BACKUP
	failedAddress = regexp.MustCompile(`connection to server at \S+, port \d+ failed:`)
	startTime     = regexp.MustCompile(`(?m)^START TIME: .*`)
)

// say types a command in a session and returns what it prints, by lines.
func (k *talk) say(session, command string) []string {
	k.t.Helper()
	if k.sessions[session] == nil {
		k.sessions[session] = k.open()
	}
	s := k.sessions[session]
	if len(k.ids) > 0 {
		command = strings.ReplaceAll(command, "$id", k.ids[len(k.ids)-1])
	}
	s.begin(command)
	lines := strings.SplitAfter(k.hide(s.end()), "\n")
	if strings.HasPrefix(command, "LIST_FILES") && strings.HasPrefix(lines[0], "path|") {
		slices.Sort(lines[1 : len(lines)-1]) // all but the header, and what follows the last line feed
	}
	return lines
}

// hide puts names in the place of what differs from run to run.
func (k *talk) hide(printed string) string {
	if id := idInRow.FindStringSubmatch(printed); id != nil {
		k.ids = append(k.ids, id[1])
	}
	for i, id := range k.ids {
		name := "$id"
		if i < len(k.ids)-1 {
			name = fmt.Sprintf("$id(%d)", i+1)
		}
		printed = strings.ReplaceAll(strings.ReplaceAll(printed, id, name), id[:8], name+"8")
	}
	printed = failedAddress.ReplaceAllString(printed, "$$server")
	return startTime.ReplaceAllString(printed, "START TIME: $$now")
}

// conninfo is the connection string of a replication connection.
func (k *talk) conninfo() string {
	addr := k.addr.(*net.TCPAddr)
	return fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres replication=true", addr.IP, addr.Port)
}

// once runs psql with commands on its command line and returns what it prints.
func (k *talk) once(conninfo string, commands ...string) string {
	k.t.Helper()
	args := append(slices.Clone(psqlOptions), "-t", "-d", conninfo)
	for _, command := range commands {
		args = append(args, "-c", command)
	}
	out, err := k.programs.Command(k.t.Context(), "psql", args...).CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		k.t.Fatal(err)
	}
	return k.hide(string(out))
}

// psqlOptions make psql print plainly, and errors with their SQLSTATE.
var psqlOptions = []string{"-X", "-A", "-P", "null=NULL", "-P", "footer=off", "-v", "VERBOSITY=verbose"}

// psql is one that is held open.
type psql struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

func (k *talk) open() *psql {
	k.t.Helper()
	s := &psql{t: k.t, cmd: k.programs.Command(k.t.Context(), "psql", append(psqlOptions, "-d", k.conninfo())...)}
	out, writer := io.Pipe()
	s.out = bufio.NewReader(out)
	s.cmd.Stdout, s.cmd.Stderr = writer, writer
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		k.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends with psql
		defer close(done)
		s.cmd.Wait() // what it says tells more
		writer.Close()
	}()
	k.t.Cleanup(func() {
		s.stdin.Close()
		out.Close()
		s.cmd.Process.Kill()
		<-done
	})
	return s
}

// endMark is what psql prints when it is done with a command.
const endMark = "that is all\n"

// begin types a command.
func (s *psql) begin(command string) {
	s.t.Helper()
	if !strings.Contains(command, `\`) {
		command += ";"
	}
	// Nobody reads any more where psql has ended: what it printed says why.
	io.WriteString(s.stdin, command+"\n\\warn "+endMark)
}

// end returns what psql prints about the command.
func (s *psql) end() string {
	var printed strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		printed.WriteString(strings.TrimSuffix(line, endMark))
		switch {
		case err != nil:
			return printed.String() + "psql has ended\n"
		case strings.HasSuffix(line, endMark):
			return printed.String()
		}
	}
}
