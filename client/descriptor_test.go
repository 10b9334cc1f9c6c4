package client_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/datadir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// describedSample has two files in two databases that are worth a descriptor.
func describedSample() walsendertest.Sample {
	return walsendertest.Sample{WALSegmentSize: 1 << 20, RelationPages: 40, Relations: 2, SmallFiles: 50}
}

const (
	describedFile = "base/1/20000"
	describedSize = 40 * 8192
)

// listenUnix is listen on a Unix socket: to a user whom the server knows.
func listenUnix(t *testing.T, server *walsender.Server) *pgconn.Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // a socket's path is short
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5433"))
	must(t, err)
	client.ServeOn(t, listener, server)
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=5433 user=postgres", dir))
	must(t, err)
	return config
}

// serveUnix is serve on a Unix socket. wrap, if it is not nil, changes the cluster.
func serveUnix(t *testing.T, dir string, wrap func(*datadir.Stopped) walsender.Cluster) *pgconn.Config {
	t.Helper()
	cluster, err := datadir.Open(dir, datadir.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, cluster.Close()) })
	server := &walsender.Server{Cluster: cluster, MaxWALSenders: 30, Logger: zap.NewNop()}
	if wrap != nil {
		server.Cluster = wrap(cluster)
	}
	return listenUnix(t, server)
}

// eventLog keeps what a backup tells.
type eventLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *eventLog) add(e client.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, e.Message)
}

// with is the first line that has the text.
func (l *eventLog) with(text string) string {
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// The copy is the same whichever way the bytes went.
func TestDescriptor_8_4_SameCopy(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	must(t, describedSample().Write(source))
	config := serveUnix(t, source, nil)
	want := ""
	for _, tt := range []struct {
		name    string
		options client.Options
		ways    string // as -v tells them
	}{
		{"over the connection", client.Options{NoDescriptors: true}, "0 (0 kB) copied by descriptor"},
		{"with a rate", client.Options{MaxRate: client.MaxRateUpper}, "0 (0 kB) copied by descriptor"},
		{"one worker", client.Options{}, "6 (1920 kB) copied by descriptor"},
		{"three workers", client.Options{Jobs: 3}, "6 (1920 kB) copied by descriptor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log eventLog
			o := tt.options
			o.ConnConfig, o.Dir, o.Log = config, filepath.Join(t.TempDir(), "copy"), log.add
			result, err := client.Backup(t.Context(), o)
			must(t, err)
			report, err := client.Verify(t.Context(), o.Dir, client.VerifyOptions{})
			must(t, err)
			if len(report.Problems) > 0 {
				t.Errorf("problems: %v", report.Problems)
			}
			got := fmt.Sprint(result, manifestFiles(t, o.Dir))
			if want == "" {
				want = got
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the copy differs (-connection +here):\n%s", diff)
			}
			if log.with(tt.ways) == "" {
				t.Errorf("nobody says %q, but %q", tt.ways, log.with("over the connection"))
			}
		})
	}
}

// Archives take files by their descriptors, too.
func TestDescriptor_8_4_Tar(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	must(t, describedSample().Write(source))
	var log eventLog
	dir := filepath.Join(t.TempDir(), "copy")
	_, err := client.Backup(t.Context(), client.Options{
		ConnConfig: serveUnix(t, source, nil), Dir: dir, Archive: &client.ArchiveOptions{}, Jobs: 3, Log: log.add,
	})
	must(t, err)
	report, err := client.Verify(t.Context(), dir, client.VerifyOptions{})
	must(t, err)
	if len(report.Problems) > 0 || log.with("6 (1920 kB) copied by descriptor") == "" {
		t.Errorf("problems %v, %q", report.Problems, log.with("over the connection"))
	}
}

// Over TCP nothing is offered.
func TestDescriptor_8_4_TCP(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	must(t, describedSample().Write(source))
	var log eventLog
	_, err := client.Backup(t.Context(), client.Options{
		ConnConfig: serve(t, source, &walsender.Server{}), Dir: filepath.Join(t.TempDir(), "copy"), Log: log.add,
	})
	must(t, err)
	if log.with("0 (0 kB) copied by descriptor") == "" {
		t.Errorf("%q", log.with("over the connection"))
	}
}

// Damage is the server's to judge, in the same words whichever way the file came first.
func TestDescriptor_8_4_Damage(t *testing.T) {
	sample := describedSample()
	sample.DamagedPages = []walsendertest.DamagedPage{{Path: describedFile, Block: 2}, {Path: describedFile, Block: 39}}
	source := filepath.Join(t.TempDir(), "source")
	must(t, sample.Write(source))
	config := serveUnix(t, source, nil)
	var said [2][]string
	for i := range said {
		var log eventLog
		dir := filepath.Join(t.TempDir(), "copy")
		_, err := client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, Log: log.add, NoDescriptors: i == 0})
		if !errors.Is(err, client.ErrChecksum) {
			t.Fatalf("error %v", err)
		}
		said[i] = append(slices.DeleteFunc(slices.Clone(log.lines), func(line string) bool {
			return !strings.Contains(line, "checksum verification failure") && !strings.Contains(line, "verification failed")
		}), err.Error())
		if i == 1 && log.with("block 2 of file \""+describedFile+"\" is not whole: the server is asked to send the file") == "" {
			t.Errorf("log: %q", log.lines)
		}
		copied, err := os.ReadFile(filepath.Join(dir, describedFile))
		must(t, err)
		original, err := os.ReadFile(filepath.Join(source, describedFile))
		must(t, err)
		if string(copied) != string(original) {
			t.Error("the copy of the damaged file differs")
		}
	}
	if diff := cmp.Diff(said[0], said[1]); diff != "" || len(said[0]) < 3 {
		t.Errorf("warnings %q (-connection +descriptor):\n%s", said[0], diff)
	}
	// Whoever wants no verification gets none.
	_, err := client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: filepath.Join(t.TempDir(), "copy"), NoVerifyChecksums: true})
	must(t, err)
}

// wrongDescriptors has files whose descriptors are not what they should be.
type wrongDescriptors struct {
	*datadir.Stopped
	change func(*wrongDescriptor)
}

type wrongDescriptor struct {
	fs.File
	fd   int
	size int64
	ok   bool
}

func (f wrongDescriptor) Descriptor() (fd int, size int64, ok bool) { return f.fd, f.size, f.ok }

func (c wrongDescriptors) Reopen(context.Context) (cluster any, release func(), err error) {
	return c, func() {}, nil
}

func (c wrongDescriptors) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	f, err := c.Stopped.Open(ctx, name, o)
	described, ok := f.(walsender.DescriptorFile)
	if err != nil || !ok || name != describedFile {
		return f, err
	}
	w := wrongDescriptor{File: f}
	w.fd, w.size, w.ok = described.Descriptor()
	c.change(&w)
	return w, nil
}

// A client believes no descriptor but one of a file that is open for reading, and leaves
// nothing of a backup in which it gets another.
func TestDescriptor_8_4_Hostile(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	must(t, describedSample().Write(source))
	for _, tt := range []struct {
		fault walsendertest.Fault
		says  string // empty: the backup is taken
	}{
		{walsendertest.WrongDescriptor(describedFile, walsendertest.DirectoryDescriptor), "it is not of a regular file"},
		{walsendertest.WrongDescriptor(describedFile, walsendertest.DeviceDescriptor), "it is not of a regular file"},
		{walsendertest.WrongDescriptor(describedFile, walsendertest.WritableDescriptor), "it is open for writing"},
		{walsendertest.WrongDescriptor(describedFile, walsendertest.TwoDescriptors), "more than one file descriptor"},
		{walsendertest.WrongDescriptor(describedFile, walsendertest.NoDescriptor), ""}, // as where this process may have no more
		{walsendertest.WrongDescriptorSize(describedFile, describedSize-8192), "has shrunk"},
		{walsendertest.WrongDescriptorSize(describedFile, 1<<60), ""}, // the file ends where it ends
		{walsendertest.WrongDescriptorSize(describedFile, -1), `server sent "-1" for the size`},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			cluster, err := datadir.Open(source, datadir.Options{})
			must(t, err)
			defer cluster.Close()
			server := &walsendertest.Server{Cluster: cluster, Unix: true, Faults: []walsendertest.Fault{tt.fault}}
			server.StartTest(t)
			defer server.Close()
			config, err := server.ConnConfig()
			must(t, err)
			dir, isThere := copyOf(t)
			var log eventLog
			_, err = client.Backup(t.Context(), client.Options{ConnConfig: config, Dir: dir, Jobs: 2, Log: log.add})
			switch {
			case tt.says == "":
				must(t, err)
				if log.with("copied by descriptor") == "" || log.with("0 (0 kB) copied by descriptor") != "" {
					t.Errorf("log: %q", log.lines)
				}
			case err == nil || !strings.Contains(err.Error(), tt.says):
				t.Errorf("error %v, want %q", err, tt.says)
			case isThere():
				t.Error("something is left")
			}
		})
	}
}
