package sharedstate

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
)

// model is a backup as the spec tells of it, with nothing shared and no locks.
type model struct {
	owner, directory string
	state            string // starting, running, stopping, has ended, was aborted
	inRecovery       bool
	sending          int
	sendingControl   bool
	controlLast      bool // pg_control was sent, and nothing has begun since
	sent             int64
	joined           int64
}

func (m *model) over() bool { return m.state == "has ended" || m.state == "was aborted" }

// check is the answer to a command that needs the backup running.
func (m *model) check() string {
	switch m.state {
	case "starting":
		return "55000 has not started yet"
	case "running":
		return ""
	case "stopping":
		return "55000 is being stopped"
	}
	return "55000 " + m.state
}

func (m *model) inUse() string {
	if m.sending == 1 {
		return "55006 is in use by 1 SEND_FILE command"
	}
	return fmt.Sprintf("55006 is in use by %d SEND_FILE commands", m.sending)
}

// machine runs the table and the models side by side. Backups and models have the
// same index; those that are over stay in, for their sessions still have handles.
type machine struct {
	table   *Table
	limit   int
	backups []*Backup
	models  []*model
	files   []file
}

// file is a SEND_FILE, at work or (its end function must not mind) ended.
type file struct {
	backup int
	kind   FileKind
	end    func(bool)
	ended  bool
}

func (m *machine) pick(t *rapid.T) (int, *Backup, *model) {
	if len(m.backups) == 0 {
		t.Skip("no backup")
	}
	i := rapid.IntRange(0, len(m.backups)-1).Draw(t, "backup")
	return i, m.backups[i], m.models[i]
}

// expect compares an error with "SQLSTATE what it says of the backup".
func expect(t *rapid.T, b *Backup, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		wire := err.(*protocol.Error)
		got = wire.Code + " " + wire.Message
	}
	if want != "" {
		want = fmt.Sprintf("%s backup %q %s", want[:5], b.ID[:8], want[6:])
	}
	if got != want {
		t.Fatalf("got %q, expected %q", got, want)
	}
}

func (m *machine) Start(t *rapid.T) {
	r := Request{
		Owner:     rapid.SampledFrom([]string{"alice", "bob"}).Draw(t, "owner"),
		Directory: rapid.SampledFrom([]string{"/data", "/other"}).Draw(t, "directory"),
	}
	living := 0
	for _, mb := range m.models {
		if !mb.over() {
			living++
		}
	}
	b, err := m.table.Start(r)
	if living == m.limit {
		if wire, ok := err.(*protocol.Error); !ok || wire.Code != "53400" {
			t.Fatalf("%d backups and one more: %v", living, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.backups = append(m.backups, b)
	m.models = append(m.models, &model{owner: r.Owner, directory: r.Directory, state: "starting"})
}

func (m *machine) Started(t *rapid.T) {
	_, b, mb := m.pick(t)
	inRecovery := rapid.Bool().Draw(t, "inRecovery")
	err := b.Started(started, inRecovery)
	switch {
	case mb.over():
		expect(t, b, err, mb.check())
	case mb.state != "starting":
		expect(t, b, err, "55000 has already started")
	default:
		expect(t, b, err, "")
		mb.state, mb.inRecovery = "running", inRecovery
	}
}

func (m *machine) Join(t *rapid.T) {
	_, b, mb := m.pick(t)
	owner := rapid.SampledFrom([]string{"alice", "bob"}).Draw(t, "owner")
	directory := rapid.SampledFrom([]string{"/data", "/other"}).Draw(t, "directory")
	joined, err := m.table.Join(b.ID, owner, directory)
	switch {
	case mb.over(), mb.owner != owner, mb.state == "starting":
		expect(t, b, err, "42704 does not exist")
	case mb.directory != directory:
		expect(t, b, err, "55000 is of another data directory")
	default:
		expect(t, b, err, mb.check())
	}
	if err == nil {
		mb.joined++
		if joined != b {
			t.Fatal("another backup was joined")
		}
	}
}

func (m *machine) BeginFile(t *rapid.T) {
	i, b, mb := m.pick(t)
	kind := rapid.SampledFrom([]FileKind{DataFile, ControlFile}).Draw(t, "kind")
	end, err := b.BeginFile(kind)
	if want := mb.check(); want == "" && (mb.sendingControl || kind == ControlFile && mb.sending > 0) {
		expect(t, b, err, mb.inUse())
	} else {
		expect(t, b, err, want)
	}
	if err == nil {
		mb.sending++
		mb.sendingControl, mb.controlLast = kind == ControlFile, false
		m.files = append(m.files, file{backup: i, kind: kind, end: end})
	}
}

func (m *machine) EndFile(t *rapid.T) {
	if len(m.files) == 0 {
		t.Skip("no file")
	}
	f := &m.files[rapid.IntRange(0, len(m.files)-1).Draw(t, "file")]
	sent := rapid.Bool().Draw(t, "sent")
	f.end(sent)
	if f.ended {
		return
	}
	f.ended = true
	mb := m.models[f.backup]
	mb.sending--
	if f.kind == ControlFile {
		mb.sendingControl, mb.controlLast = false, sent
	}
	if sent {
		mb.sent++
	}
}

func (m *machine) Stop(t *rapid.T) {
	_, b, mb := m.pick(t)
	err := b.Stop()
	want := mb.check()
	switch {
	case want == "" && mb.sending > 0:
		want = mb.inUse()
	case want == "" && mb.inRecovery && !mb.controlLast:
		want = "55000 has no global/pg_control yet that was sent after every other file"
	}
	expect(t, b, err, want)
	if err == nil {
		mb.state = "stopping"
	}
}

func (m *machine) End(t *rapid.T) {
	_, b, mb := m.pick(t)
	b.End()
	if !mb.over() {
		mb.state = "has ended"
	}
}

func (m *machine) Abort(t *rapid.T) {
	_, b, mb := m.pick(t)
	b.Abort()
	if !mb.over() {
		mb.state = "was aborted"
	}
}

// Check holds everything that can be seen from outside against the models.
func (m *machine) Check(t *rapid.T) {
	var got, want []string
	for _, s := range m.table.Backups() {
		got = append(got, s.ID+" "+string(s.State))
	}
	for i, mb := range m.models {
		b := m.backups[i]
		select {
		case <-b.Done():
			expect(t, b, b.Err(), "55000 "+mb.state)
		default:
			expect(t, b, b.Err(), "")
			want = append(want, b.ID[:8]+" "+mb.state)
		}
		if c := b.Counters(); c != (Counters{FilesSent: mb.sent, SessionsJoined: mb.joined}) {
			t.Fatalf("counters %+v, expected %d files and %d sessions", c, mb.sent, mb.joined)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("the table has %v, expected %v", got, want)
	}
}

func TestTable_3_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		m := &machine{table: NewTable(limit), limit: limit}
		t.Repeat(map[string]func(*rapid.T){
			"Start": m.Start, "Started": m.Started, "Join": m.Join, "BeginFile": m.BeginFile,
			"EndFile": m.EndFile, "Stop": m.Stop, "End": m.End, "Abort": m.Abort, "": m.Check,
		})
	})
}
