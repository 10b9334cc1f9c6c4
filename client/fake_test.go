package client

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/walrecord/walrecordtest"
	pgwire "github.com/pgparallel/pgparallel/protocol/wire"
)

const (
	fakeID      = "00112233445566778899aabbccddeeff"
	fakeSegment = 1 << 20
)

var fakeTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fake is a server whose cluster and faults a test scripts. Its fields are set
// before the first connection.
type fake struct {
	t        *testing.T
	listener net.Listener

	mode, version string
	files         map[string]string // what LIST_FILES has, and more files that SEND_FILE has
	listed        func([]protocol.File) []protocol.File
	tablespaces   func(call int) []protocol.Tablespace // call counts LIST_TABLESPACES from 0
	start         protocol.BackupStart
	stop          protocol.BackupStop
	wal           map[string]string // by name
	stream        *fakeStream       // nil: nothing is passed on to a server that runs
	history       string
	frame         int                // payload of a CopyData
	stock         bool               // does not say that it knows parallel backups
	access        protocol.WALAccess // where there is no stream; empty: it is not told
	primary       string             // parallel_backup_primary_conninfo; empty: it is not told
	walLevel      string             // empty: SHOW does not know it
	standbys      string             // synchronous_standby_names
	greeting      *protocol.Error    // a notice at the beginning of each connection; nil: none

	// refuse is the answer to the startup of the k-th connection, from 0.
	refuse func(k int) *protocol.Error
	// query may take the place of the answer to a command: it reports whether
	// it did.
	query func(s *fakeSession, command string) bool

	mu          sync.Mutex
	connections int
	listings    int
	startups    []map[string]string
	log         []string // "connection: command", in the order in which they were read
	sessions    sync.WaitGroup
	open        map[net.Conn]bool
}

// newFake makes a server with a cluster like the smallest: shut down as a standby,
// with a label, and one segment of WAL.
func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		t: t, mode: "0700", access: protocol.WALKept, version: "150000", frame: 1000, open: map[net.Conn]bool{},
		files: map[string]string{
			"PG_VERSION":             "15\n",
			"base/1/PG_VERSION":      "15\n",
			"base/1/16384":           strings.Repeat("page", 2048),
			"base/1/16385":           "",
			"global/pg_control":      fakeControl(0x100028),
			"global/pg_filenode.map": strings.Repeat("m", 512),
			"postgresql.conf":        "work_mem = 1MB\n",
		},
		tablespaces: func(int) []protocol.Tablespace { return nil },
		start:       protocol.BackupStart{StartPoint: protocol.StartPoint{StartPtr: 0x100028, Timeline: 1}, ID: fakeID},
		stop:        protocol.BackupStop{StartPtr: 0x100028, Timeline: 1, Label: fakeLabel(0x100028, 1), StopPtr: 0x200000, StopTimeline: 1},
		wal:         map[string]string{},
	}
	f.withWAL(fakeLog(15))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.listener = listener
	f.sessions.Add(1)
	go f.serve()
	t.Cleanup(f.close)
	return f
}

// fakeLog is the WAL of a fake's first segment. The checkpoint is at its beginning.
func fakeLog(major int) *walrecordtest.Log {
	l := walrecordtest.New(major, 7, fakeSegment, 1, 0x100028)
	l.Shutdown()
	for _, stop := range []protocol.LSN{0x140000, 0x180000, 0x200000} {
		l.FillTo(stop)
	}
	return l
}

// fakeBranch is the WAL of timeline 2, which leaves that one at a position.
func fakeBranch(major int, at protocol.LSN) *walrecordtest.Log {
	l := walrecordtest.New(major, 7, fakeSegment, 1, 0x100028)
	l.Shutdown()
	l.FillTo(at)
	branch := l.Branch(2)
	branch.FillTo(0x180000)
	branch.FillTo(0x200000)
	return branch
}

// withWAL gives the fake the segments of a log, from the first one on.
func (f *fake) withWAL(l *walrecordtest.Log) {
	for begin := protocol.LSN(0x100000); begin < l.End(); begin += fakeSegment {
		f.wal[protocol.WALFileName(l.Timeline, begin, fakeSegment)] = l.Segment(begin)
	}
}

// fakeControl is a control file that names the checkpoint.
func fakeControl(checkpoint protocol.LSN) string {
	return string(controlfile.Control{
		SystemID: 7, Version: 1300, CatalogVersion: 202209061, State: controlfile.StateShutDown, Checkpoint: checkpoint, Redo: checkpoint,
		Timeline: 1, PrevTimeline: 1, BlockSize: 8192, RelSegSize: 131072, WALBlockSize: 8192, WALSegmentSize: fakeSegment,
	}.Encode())
}

// fakeLabel is the label of a backup of a standby.
func fakeLabel(start protocol.LSN, tli protocol.Timeline) string {
	return protocol.BackupLabel{
		StartPtr: start, WALFile: protocol.WALFileName(tli, start, fakeSegment), Checkpoint: start,
		Method: "streamed", From: "standby", StartTime: "2026-01-02 03:04:05 UTC", Label: "fake", StartTimeline: tli,
	}.String()
}

func (f *fake) close() {
	f.listener.Close()
	f.mu.Lock()
	for c := range f.open {
		c.Close()
	}
	f.mu.Unlock()
	f.sessions.Wait()
}

// config is how to connect.
func (f *fake) config() *pgconn.Config {
	f.t.Helper()
	config, err := pgconn.ParseConfig(f.connString())
	if err != nil {
		f.t.Fatal(err)
	}
	return config
}

func (f *fake) connString() string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=u sslmode=disable", f.listener.Addr().(*net.TCPAddr).Port)
}

// dialed is how many connections there have been.
func (f *fake) dialed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.connections
}

func (f *fake) serve() {
	defer f.sessions.Done()
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.open[c] = true
		s := &fakeSession{fake: f, number: f.connections, conn: c, backend: pgproto3.NewBackend(c, c), queries: make(chan string, 1000), statuses: make(chan []byte, 1000), copyDone: make(chan struct{}, 10)}
		f.connections++
		f.mu.Unlock()
		f.sessions.Add(1)
		go func() {
			defer f.sessions.Done()
			defer c.Close()
			s.run()
		}()
	}
}

// commands are what the k-th connection asked, or all with k -1, in order.
func (f *fake) commands(k int) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for _, line := range f.log {
		number, command, _ := strings.Cut(line, ": ")
		if k < 0 || number == fmt.Sprint(k) {
			list = append(list, command)
		}
	}
	return list
}

// emptyDirectories are those without files that PostgreSQL does not start without, those above them,
// and that of WAL.
var emptyDirectories = []string{
	"pg_commit_ts", "pg_logical", "pg_logical/mappings", "pg_logical/snapshots", "pg_notify", "pg_replslot", "pg_subtrans",
	"pg_tblspc", "pg_twophase", "pg_wal", "pg_wal/archive_status",
}

// list is the rows of the data directory: the directories that the files are in, and
// the files.
func (f *fake) list() []protocol.File {
	directories := map[string]bool{}
	for _, dir := range emptyDirectories {
		directories[dir] = true
	}
	for name := range f.files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			directories[dir] = true
		}
	}
	var rows []protocol.File
	for _, dir := range slices.Sorted(maps.Keys(directories)) {
		rows = append(rows, protocol.File{Path: dir, Type: protocol.TypeDirectory, ModTime: fakeTime})
	}
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		if name != output.ControlFile {
			rows = append(rows, protocol.File{Path: name, Type: protocol.TypeFile, Size: int64(len(f.files[name])), ModTime: fakeTime})
		}
	}
	rows = append(rows, protocol.File{Path: output.ControlFile, Type: protocol.TypeFile, Size: 8192, ModTime: fakeTime})
	if f.listed != nil {
		rows = f.listed(rows)
	}
	return rows
}

// fakeSession is one connection.
type fakeSession struct {
	*fake
	number  int
	conn    net.Conn
	backend *pgproto3.Backend
	queries chan string // read ahead
	leads   bool
	// what comes within a copy
	statuses chan []byte
	copyDone chan struct{}
	sending  sync.Mutex
}

func (s *fakeSession) run() {
	m, err := s.backend.ReceiveStartupMessage()
	if _, tls := m.(*pgproto3.SSLRequest); tls {
		s.conn.Write([]byte("N"))
		m, err = s.backend.ReceiveStartupMessage()
	}
	if err != nil {
		return
	}
	s.mu.Lock()
	s.startups = append(s.startups, m.(*pgproto3.StartupMessage).Parameters)
	s.mu.Unlock()
	if s.refuse != nil {
		if e := s.refuse(s.number); e != nil {
			s.send(pgwire.ErrorResponse(e))
			return
		}
	}
	s.backend.Send(&pgproto3.AuthenticationOk{})
	if !s.stock {
		s.backend.Send(&pgproto3.ParameterStatus{Name: "parallel_backup_protocol", Value: "1"})
		access := s.access
		if s.stream != nil {
			access = protocol.WALStreamed
		}
		if access != "" {
			s.backend.Send(&pgproto3.ParameterStatus{Name: protocol.ParameterWAL, Value: string(access)})
		}
		if s.primary != "" {
			s.backend.Send(&pgproto3.ParameterStatus{Name: protocol.ParameterPrimaryConnInfo, Value: s.primary})
		}
	}
	if s.greeting != nil {
		s.backend.Send(pgwire.NoticeResponse(s.greeting))
	}
	s.send(&pgproto3.BackendKeyData{SecretKey: []byte{1, 2, 3, 4}}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
	go s.readAhead()
	for command := range s.queries {
		if s.query == nil || !s.query(s, command) {
			s.answer(command)
		}
	}
}

func (s *fakeSession) readAhead() {
	defer close(s.queries)
	defer close(s.copyDone)
	defer close(s.statuses)
	for {
		m, err := s.backend.Receive()
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *pgproto3.CopyData:
			s.statuses <- bytes.Clone(m.Data)
			continue
		case *pgproto3.CopyDone:
			s.copyDone <- struct{}{}
			continue
		}
		q, ok := m.(*pgproto3.Query)
		if !ok {
			return
		}
		s.mu.Lock()
		s.log = append(s.log, fmt.Sprintf("%d: %s", s.number, q.String))
		s.mu.Unlock()
		s.queries <- strings.Clone(q.String)
	}
}

func (s *fakeSession) send(messages ...pgproto3.BackendMessage) {
	s.sending.Lock()
	defer s.sending.Unlock()
	for _, m := range messages {
		s.backend.Send(m)
	}
	_ = s.backend.Flush() // the client may be gone, as it should
}

func (s *fakeSession) complete() {
	s.send(&pgproto3.CommandComplete{CommandTag: []byte("OK")}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
}

func (s *fakeSession) fail(e *protocol.Error) {
	s.send(pgwire.ErrorResponse(e), &pgproto3.ReadyForQuery{TxStatus: 'I'})
}

// sendRows begins an answer; complete or fail ends it.
func (s *fakeSession) sendRows(columns []protocol.Column, rows ...protocol.Row) {
	s.backend.Send(pgwire.RowDescription(columns...))
	for _, r := range rows {
		s.backend.Send(pgwire.DataRow(r))
	}
}

// sendCopy sends the content of a file without an end.
func (s *fakeSession) sendCopy(content string) {
	s.send(&pgproto3.CopyOutResponse{})
	for len(content) > 0 {
		n := min(s.frame, len(content))
		s.send(&pgproto3.CopyData{Data: []byte(content[:n])})
		content = content[n:]
	}
}

func (s *fakeSession) sendFile(content string) {
	s.sendCopy(content)
	s.backend.Send(&pgproto3.CopyDone{})
	s.complete()
}

// system is another one where a stream is one of another system, on all connections but
// the leader's.
func (s *fakeSession) system() protocol.System {
	system := protocol.System{SystemID: 7, Timeline: 1, XLogPos: 0x180000}
	if !s.leads && s.stream != nil && s.stream.systemID != 0 {
		system.SystemID = s.stream.systemID
	}
	return system
}

func (s *fakeSession) answer(command string) {
	word, _, _ := strings.Cut(command, " ")
	argument := ""
	if _, rest, found := strings.Cut(command, "'"); found {
		argument = strings.ReplaceAll(rest[:strings.LastIndex(rest, "'")], "''", "'")
	}
	switch word {
	case "":
		s.send(&pgproto3.EmptyQueryResponse{}, &pgproto3.ReadyForQuery{TxStatus: 'I'})
		return
	case "--":
		s.fail(protocol.Errorf(protocol.CodeFeatureNotSupported, "cannot execute SQL commands in WAL sender for physical replication"))
		return
	case "READ_REPLICATION_SLOT", "DROP_REPLICATION_SLOT", "CREATE_REPLICATION_SLOT", "START_REPLICATION":
		if s.stream == nil {
			s.fail(protocol.Errorf(protocol.CodeFeatureNotSupported, "%s is not supported", word))
			return
		}
		if s.stream.answer(s, word, command) {
			return
		}
	case "SHOW":
		s.leads = s.leads || strings.HasSuffix(command, "version_num")
		values := map[string]string{"data_directory_mode": s.mode, "wal_segment_size": "1MB", "server_version_num": s.version, "synchronous_standby_names": s.standbys, "wal_level": s.walLevel}
		if name := strings.TrimPrefix(command, "SHOW "); name == "wal_level" && s.walLevel == "" || name == protocol.ParameterCheck {
			s.fail(protocol.Errorf(protocol.CodeUndefinedObject, "unrecognized configuration parameter %q", name))
			return
		}
		s.sendRows([]protocol.Column{{Name: "value", Type: 25}}, protocol.Row{[]byte(values[strings.TrimPrefix(command, "SHOW ")])})
	case "IDENTIFY_SYSTEM":
		s.sendRows(protocol.SystemColumns(), s.system().Row(15))
	case "TIMELINE_HISTORY":
		s.sendRows(protocol.HistoryFileColumns(), protocol.HistoryFile{Name: "00000002.history", Content: []byte(s.history)}.Row())
	case "LIST_TABLESPACES":
		s.mu.Lock()
		call := s.listings
		s.listings++
		s.mu.Unlock()
		s.sendRows(protocol.TablespaceColumns())
		for _, t := range append(s.tablespaces(call), protocol.Tablespace{Size: 100}) {
			s.backend.Send(pgwire.DataRow(t.Row()))
		}
	case "START_BACKUP":
		s.sendRows(protocol.BackupStartColumns(), s.start.Row())
	case "STOP_BACKUP":
		s.sendRows(protocol.BackupStopColumns(), s.stop.Row())
	case "LIST_FILES":
		s.sendRows(protocol.FileColumns())
		if argument == "" {
			for _, f := range s.list() {
				s.backend.Send(pgwire.DataRow(f.Row()))
			}
		}
	case "LIST_WAL_FILES":
		s.sendRows(protocol.FileColumns())
		for _, name := range slices.Sorted(maps.Keys(s.wal)) {
			s.backend.Send(pgwire.DataRow(protocol.File{Path: "pg_wal/" + name, Type: protocol.TypeFile, Size: int64(len(s.wal[name])), ModTime: fakeTime}.Row()))
		}
	case "SEND_FILE":
		content, found := s.files[argument]
		if name, isWAL := strings.CutPrefix(argument, "pg_wal/"); isWAL {
			content, found = s.wal[name]
		}
		if !found {
			s.fail(protocol.Errorf(protocol.CodeUndefinedFile, "could not open file %q: No such file or directory", argument))
			return
		}
		s.sendFile(content)
		return
	}
	s.complete()
}

// sendFile is the command that a client sends for a file.
func sendFile(path string) string { return grammar.SendFile{Path: path}.String() }
