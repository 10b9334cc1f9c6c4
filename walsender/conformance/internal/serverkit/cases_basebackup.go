package serverkit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

func baseBackupCases() []Case {
	return []Case{
		{rule.Must("S-BASEBACKUP/001", "§9.1", "Programs know a part of the answer by its place: the order of the messages is PostgreSQL's."), func(t *conversation) {
			p := t.baseBackup()
			s := p.backUp("PROGRESS", "MANIFEST 'yes'")
			t.holdsWhatItLists(s)
		}},
		{rule.Must("S-BASEBACKUP/002", "§9.1", "What was not asked for is not sent: no sizes and no manifest."), func(t *conversation) {
			p := t.baseBackup()
			s := p.backUp()
			t.want(len(s.manifest) == 0, "no manifest", "%d bytes", len(s.manifest))
			t.holdsWhatItLists(s)
		}},
		{rule.Must("S-BASEBACKUP/003", "§9.1", "An archive is a data directory that PostgreSQL starts from: nothing is missing, nothing else is in it."), func(t *conversation) {
			p := t.baseBackup()
			t.holdsDataDirectory(p.backUp("TABLESPACE_MAP"))
		}},
		{rule.Must("S-BASEBACKUP/004", "§9.1", "By the manifest a backup is verified: it names each file of the archives, and is signed by a checksum."), func(t *conversation) {
			p := t.baseBackup()
			t.manifestHolds(p.backUp("MANIFEST 'yes'"))
		}},
		{rule.Must("S-BASEBACKUP/005", "§9.1", "With force-encode every path of the manifest is in hexadecimal, and the algorithm is the one that was asked for."), func(t *conversation) {
			p := t.baseBackup()
			s := p.backUp("MANIFEST 'force-encode'", "MANIFEST_CHECKSUMS 'SHA224'")
			t.manifestHolds(s)
			t.want(!bytes.Contains(s.manifest, []byte(`"Path":`)), "Encoded-Path for each file", "a Path is there")
			t.want(bytes.Contains(s.manifest, []byte(`"Checksum-Algorithm": "SHA224"`)), "checksums by SHA224", "there is none")
		}},
		{rule.Must("S-BASEBACKUP/006", "§9.1", "With WAL a copy needs nothing else to start: each segment from the start to the end is there, and no other timeline."), func(t *conversation) {
			p := t.baseBackup()
			size, _ := protocol.ParseWALSegmentSize(p.done("SHOW wal_segment_size").text(0))
			t.holdsWAL(p.backUp("WAL"), size)
		}},
		{rule.Must("S-BASEBACKUP/007", "§9.1", "An archive that was asked for in gzip is in gzip, and its name says so."), func(t *conversation) {
			p := t.baseBackup()
			if t.major != 0 && t.major < firstOneStream {
				t.excuse(rule.Excuse{Reason: fmt.Sprintf("PostgreSQL %d compresses nothing", t.major)})
			}
			s := p.backUp("COMPRESSION 'gzip'", "COMPRESSION_DETAIL '1'")
			t.holdsWhatItLists(s)
		}},
		{rule.Must("S-BASEBACKUP/008", "§9.1", "A mistake in the options is told from an option that another version has."), func(t *conversation) {
			t.baseBackup().playAll(
				"BASE_BACKUP ()", "BASE_BACKUP (FOO)", "BASE_BACKUP LABEL 'x' FOO", "BASE_BACKUP (FAST)",
				"BASE_BACKUP LABEL 'x' LABEL 'y'", "BASE_BACKUP (LABEL 'x', label 'y')", "BASE_BACKUP (LABEL)",
				"BASE_BACKUP (PROGRESS maybe)", "BASE_BACKUP (PROGRESS true, PROGRESS off)", "BASE_BACKUP (CHECKPOINT 'foo')",
				"BASE_BACKUP (CHECKPOINT)", "BASE_BACKUP (WAIT 'x')", "BASE_BACKUP (LABEL 'x',)", "BASE_BACKUP (LABEL 'x' PROGRESS)",
				`BASE_BACKUP ("LABEL" 'x')`, "BASE_BACKUP NOVERIFY_CHECKSUMS VERIFY_CHECKSUMS")
		}},
		{rule.Must("S-BASEBACKUP/009", "§9.1", "A backup without the manifest that was meant is refused, and not taken without."), func(t *conversation) {
			t.baseBackup().playAll(
				"BASE_BACKUP (MANIFEST 'foo')", "BASE_BACKUP MANIFEST 'foo'", "BASE_BACKUP (MANIFEST)",
				"BASE_BACKUP (MANIFEST_CHECKSUMS 'SHA256')", "BASE_BACKUP MANIFEST_CHECKSUMS 'SHA256'",
				"BASE_BACKUP (MANIFEST 'no', MANIFEST_CHECKSUMS 'SHA256')",
				"BASE_BACKUP (MANIFEST 'yes', MANIFEST_CHECKSUMS 'foo')", "BASE_BACKUP MANIFEST 'yes' MANIFEST_CHECKSUMS 'foo'")
		}},
		{rule.Must("S-BASEBACKUP/010", "§9.1", "What a server does not compress by, or not with these details, it refuses."), func(t *conversation) {
			t.baseBackup().playAll(
				"BASE_BACKUP (COMPRESSION 'foo')", "BASE_BACKUP (COMPRESSION 'GZIP')", "BASE_BACKUP (COMPRESSION)",
				"BASE_BACKUP (COMPRESSION_DETAIL 'level=1')", "BASE_BACKUP (COMPRESSION 'none', COMPRESSION_DETAIL 'level=1')",
				"BASE_BACKUP (COMPRESSION 'gzip', COMPRESSION_DETAIL 'level=11')", "BASE_BACKUP (COMPRESSION 'gzip', COMPRESSION_DETAIL 'level=')",
				"BASE_BACKUP (COMPRESSION 'gzip', COMPRESSION_DETAIL 'workers=2')", "BASE_BACKUP (COMPRESSION 'gzip', COMPRESSION_DETAIL 'foo')",
				"BASE_BACKUP (COMPRESSION 'gzip', COMPRESSION_DETAIL 'long')", "BASE_BACKUP (COMPRESSION 'gzip', COMPRESSION_DETAIL ',')")
		}},
		{rule.Must("S-BASEBACKUP/011", "§9.1", "Where a backup is to go, and what it is to be built upon, is not passed over."), func(t *conversation) {
			t.baseBackup().playAll(
				"BASE_BACKUP (TARGET 'foo')", "BASE_BACKUP (TARGET 'server')", "BASE_BACKUP (TARGET)", "BASE_BACKUP (TARGET_DETAIL 'x')",
				"BASE_BACKUP (TARGET 'client', TARGET_DETAIL 'x')", "BASE_BACKUP (INCREMENTAL)", "BASE_BACKUP (INCREMENTAL false, TARGET 'x')")
		}},
		{rule.Must("S-BASEBACKUP/012", "§9.1", "The rate has bounds."), func(t *conversation) {
			t.baseBackup().playAll(
				"BASE_BACKUP (MAX_RATE 31)", "BASE_BACKUP (MAX_RATE 1048577)", "BASE_BACKUP (MAX_RATE 'x')", "BASE_BACKUP (MAX_RATE)",
				"BASE_BACKUP MAX_RATE 31", "BASE_BACKUP MAX_RATE 1048577", "BASE_BACKUP MAX_RATE '64'")
		}},
	}
}

// baseBackup is a session with a server that answers BASE_BACKUP.
func (t *conversation) baseBackup() *peer {
	p := t.session()
	p.offered("BASE_BACKUP NO SUCH OPTION")
	return p
}

// offered excuses a server that does not know a command, which none does (0A000).
func (p *peer) offered(wrong string) {
	if a := p.ask("%s", wrong); a.code == protocol.CodeFeatureNotSupported {
		p.excuse(rule.Excuse{Reason: a.message})
	}
}

// playAll plays commands.
func (p *peer) playAll(commands ...string) {
	for _, command := range commands {
		p.play(command)
	}
}

// backUp takes a backup that waits for nothing, with options as PostgreSQL has them from 15
// on.
func (p *peer) backUp(options ...string) *said {
	options = append([]string{"LABEL 'conformance'"}, options...)
	if p.major >= firstOneStream {
		return p.play("BASE_BACKUP (" + strings.Join(append(options, "CHECKPOINT 'fast'", "WAIT 0"), ", ") + ")")
	}
	return p.play("BASE_BACKUP " + strings.Join(append(options, "FAST", "NOWAIT"), " "))
}

// whole wants a BASE_BACKUP to have come to its end, and returns whether.
func (t *conversation) whole(s *said) bool {
	t.want(s.code == "" && s.ready && len(s.archives) > 0, s.exchange.command+": a backup", "%s", s.answer)
	return !t.over()
}

// holdsWhatItLists wants an archive for each row of the list, in order, and reports of the
// progress that count what has come.
func (t *conversation) holdsWhatItLists(s *said) {
	if !t.whole(s) {
		return
	}
	rows := s.tablespaces()
	t.want(len(rows) == len(s.archives), fmt.Sprintf("an archive for each of %d rows", len(rows)), "%d archives", len(s.archives))
	content := int64(0)
	for i, a := range s.archives {
		name, location := "base.tar", ""
		if i < len(rows) && rows[i][0] != nil {
			name, location = string(rows[i][0])+".tar", string(rows[i][1])
		}
		suffix := strings.TrimPrefix(a.name, name)
		t.want(a.name == name+suffix && a.location == location && (suffix == "") == !strings.Contains(s.exchange.command, "gzip"),
			fmt.Sprintf("archive %d is %s of %q", i+1, name, location), "%s of %q", a.name, a.location)
		content += a.length
	}
	for i := range s.counts {
		t.want(i == 0 || s.counts[i-1] <= s.counts[i], "a count of bytes that grows", "%d", s.counts)
	}
	if n := len(s.counts); n > 0 {
		t.want(s.counts[n-1] == content, fmt.Sprintf("at the end the progress is that of all archives: %d bytes", content), "%d", s.counts[n-1])
	}
}

// trailer is how an archive ends, in bytes: up to PostgreSQL 14 the client adds it.
func (t *conversation) trailer() int64 {
	if t.major < firstOneStream {
		return 0
	}
	return 1024
}

// holdsDataDirectory wants the archive of the data directory to be one.
func (t *conversation) holdsDataDirectory(s *said) {
	if !t.whole(s) {
		return
	}
	base := s.archives[len(s.archives)-1]
	kinds := map[string]byte{}
	for _, m := range base.members {
		name := path.Clean(m.Name)
		_, twice := kinds[name]
		t.want(!twice, "each member once", "%q twice", m.Name)
		kinds[name] = m.Typeflag
		for _, left := range []string{"pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"} {
			below, is := strings.CutPrefix(name, left+"/")
			t.want(!is || left == "pg_wal" && below == "archive_status" || left == "pg_wal" && below == "summaries", "nothing in "+left, "%q", name)
		}
		t.want(m.Mode&0o027 == 0 || m.Typeflag == '2', "modes that nobody else reads by", "%q: %04o", name, m.Mode)
	}
	for _, name := range []string{"postmaster.pid", "postmaster.opts", "backup_manifest", "recovery.conf"} {
		_, there := kinds[name]
		t.want(!there, "no "+name, "it is there")
	}
	for _, name := range []string{"PG_VERSION", "global/pg_control", "base/1/PG_VERSION"} {
		t.want(kinds[name] == '0', name+" as a file", "%q", kinds[name])
	}
	for _, name := range []string{"pg_wal", "pg_wal/archive_status", "pg_replslot", "pg_tblspc", "base", "global"} {
		t.want(kinds[name] == '5', name+" as a directory", "%q", kinds[name])
	}
	last := base.members[len(base.members)-1]
	t.want(last.Name == controlFile, controlFile+" as the last member (§4.8)", "%q", last.Name)
	for _, a := range s.archives {
		t.want(a.length-a.content == t.trailer(), fmt.Sprintf("%s ends with %d bytes of zeros", a.name, t.trailer()), "%d bytes", a.length-a.content)
		version := false
		for _, m := range a.members {
			version = version || strings.HasPrefix(m.Name, "PG_") && m.Typeflag == '5'
		}
		t.want(a == base || version, a.name+": the directory PG_… of the version", "it is not there")
	}
}

// manifestHolds wants the manifest to name just what the archives hold.
func (t *conversation) manifestHolds(s *said) {
	if !t.whole(s) {
		return
	}
	m, err := manifest.Read(bytes.NewReader(s.manifest))
	if err != nil {
		t.fail("a manifest whose own checksum is right", "%v", err)
		return
	}
	sent := map[string]member{}
	for _, a := range s.archives {
		prefix := ""
		if oid, _, _ := strings.Cut(a.name, "."); oid != "base" {
			prefix = "pg_tblspc/" + oid + "/"
		}
		for _, f := range a.members {
			if f.Typeflag == '0' && !strings.HasPrefix(f.Name, "pg_wal/") {
				sent[prefix+f.Name] = f
			}
		}
	}
	for _, f := range m.Files {
		got, is := sent[f.Path]
		t.want(is, "only files that the archives have", "%q", f.Path)
		t.want(got.Size == f.Size, fmt.Sprintf("%q has %d bytes", f.Path, f.Size), "%d", got.Size)
		if f.Algorithm == manifest.ChecksumCRC32C {
			sum := fmt.Sprintf("%x", f.Checksum)
			// PostgreSQL writes it in the byte order of the machine.
			little, big := binary.LittleEndian.AppendUint32(nil, got.sum), binary.BigEndian.AppendUint32(nil, got.sum)
			t.want(sum == fmt.Sprintf("%x", little) || sum == fmt.Sprintf("%x", big), fmt.Sprintf("%q has the checksum %s", f.Path, sum), "%x", little)
		}
		delete(sent, f.Path)
	}
	for name := range sent {
		t.fail("a manifest with every file", "%q is not in it", name)
	}
	t.want(len(m.WALRanges) > 0 && m.WALRanges[0].Start <= m.WALRanges[0].End, "a range of WAL", "%v", m.WALRanges)
}

// holdsWAL wants each segment from the backup's start to its end, with its mark.
func (t *conversation) holdsWAL(s *said, size int64) {
	if !t.whole(s) {
		return
	}
	var start, end protocol.LSN
	var tli protocol.Timeline
	for _, row := range s.rows {
		if len(row) == 2 {
			at, err := protocol.ParseLSN(string(row[0]))
			t.want(err == nil, "a position", "%v", err)
			if start == 0 {
				start = at
			}
			end = at
			fmt.Sscan(string(row[1]), &tli)
		}
	}
	wal := map[string]int64{}
	for _, m := range s.archives[len(s.archives)-1].members {
		if name, is := strings.CutPrefix(m.Name, "pg_wal/"); is && m.Typeflag == '0' {
			wal[name] = m.Size
		}
	}
	for at := start / protocol.LSN(size) * protocol.LSN(size); at < end || at <= start && start == end; at += protocol.LSN(size) {
		name := protocol.WALFileName(tli, at, size)
		_, marked := wal["archive_status/"+name+".done"]
		t.want(wal[name] == size && marked, fmt.Sprintf("pg_wal/%s, of %d bytes, and its mark", name, size), "%d bytes, marked: %v", wal[name], marked)
	}
}
