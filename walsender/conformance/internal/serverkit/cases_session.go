package serverkit

import (
	"regexp"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// start begins a backup.
func (p *peer) start() protocol.BackupStart {
	a := p.done("START_BACKUP LABEL 'conformance' FAST")
	if p.found != nil {
		return protocol.BackupStart{}
	}
	if len(a.rows) != 1 {
		p.fail("START_BACKUP: one row", "%d rows", len(a.rows))
		return protocol.BackupStart{}
	}
	start, err := protocol.DecodeBackupStart(a.rows[0])
	if err != nil {
		p.fail("START_BACKUP: a row of the right form", "%v", err)
	}
	return start
}

// stop ends the backup that the session leads, after pg_control, as a backup that began
// on a standby has to (§4.8).
func (p *peer) stop() answer {
	p.done("SEND_FILE ('%s') NOVERIFY_CHECKSUMS", controlFile)
	return p.done("STOP_BACKUP NOWAIT")
}

// joined is another session, in the same backup.
func (t *conversation) joined(id string) *peer {
	p := t.session()
	a := p.done("JOIN_BACKUP '%s'", id)
	t.want(a.tag == "JOIN_BACKUP" && len(a.columns) == 0, "JOIN_BACKUP: CommandComplete JOIN_BACKUP and no result", "%s", a)
	return p
}

var validID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func sessionCases() []Case {
	return []Case{
		{rule.Must("S-SESSION/001", "§3.2", "The id of a backup cannot be guessed."), func(t *conversation) {
			p := t.session()
			first := p.start()
			p.stop()
			second := p.start()
			t.want(validID.MatchString(first.ID) && first.ID != second.ID, "32 lower-case hexadecimal characters, others each time", "%q, %q", first.ID, second.ID)
		}},
		{rule.Must("S-SESSION/002", "§3.1", "A session is in one backup at a time."), func(t *conversation) {
			p := t.session()
			start := p.start()
			p.refused("55000", "START_BACKUP FAST")
			p.refused("55000", "JOIN_BACKUP '%s'", start.ID)
			p.stop()
		}},
		{rule.Must("S-SESSION/003", "§3.8", "Files are sent in a backup only; lists are free."), func(t *conversation) {
			p := t.session()
			p.refused("55000", "SEND_FILE ('PG_VERSION')")
			p.done("LIST_FILES")
		}},
		{rule.Must("S-SESSION/004", "§3.7", "Only the leader stops a backup."), func(t *conversation) {
			leader := t.session()
			worker := t.joined(leader.start().ID)
			worker.refused("55000", "STOP_BACKUP")
			t.session().refused("55000", "STOP_BACKUP")
			leader.stop()
		}},
		{rule.Must("S-SESSION/005", "§4.2", "An id of no backup is refused as unknown."), func(t *conversation) {
			p := t.session()
			p.refused("42704", "JOIN_BACKUP '00000000000000000000000000000000'")
		}},
		{rule.Must("S-SESSION/006", "§4.2", "Nobody guesses ids for long: after five wrong ones the session is closed."), func(t *conversation) {
			p := t.session()
			var a answer
			for range 5 {
				a = p.ask("JOIN_BACKUP '00000000000000000000000000000000'")
			}
			t.want(a.code == "42704" && a.closed, "42704, and the end, for the fifth", "%s", a)
		}},
		{rule.Must("S-SESSION/007", "§3.6", "A worker that goes away changes nothing."), func(t *conversation) {
			leader := t.session()
			start := leader.start()
			worker := t.joined(start.ID)
			worker.done("SEND_FILE ('PG_VERSION')")
			if worker.conn != nil {
				_ = worker.conn.Close() // that is the point
			}
			t.joined(start.ID).done("SEND_FILE ('PG_VERSION')")
			leader.stop()
		}},
		{rule.Must("S-SESSION/008", "§3.5", "A backup lives as long as its leader: workers are told within a second."), func(t *conversation) {
			leader := t.session()
			start := leader.start()
			worker := t.joined(start.ID)
			if leader.conn != nil {
				_ = leader.conn.Close() // that is the point
			}
			time.Sleep(time.Second)
			a := worker.ask("SEND_FILE ('PG_VERSION')")
			t.want(a.closed && a.code != "" || a.code == "55000", "SEND_FILE: 55000, the backup was aborted", "%s", a)
			t.session().refused("42704", "JOIN_BACKUP '%s'", start.ID)
		}},
		{rule.Must("S-SESSION/009", "§3.7", "After STOP_BACKUP the workers are told once, and are then free."), func(t *conversation) {
			leader := t.session()
			start := leader.start()
			worker := t.joined(start.ID)
			leader.stop()
			a := worker.refused("55000", "SEND_FILE ('PG_VERSION')")
			t.want(strings.Contains(a.message, "has ended"), `55000 backup "…" has ended`, "%s", a)
			t.session().refused("42704", "JOIN_BACKUP '%s'", start.ID)
			worker.start()
			worker.stop()
		}},
		{rule.Must("S-SESSION/010", "§3.3", "Ids are secrets: messages show no more than eight characters."), func(t *conversation) {
			leader := t.session()
			start := leader.start()
			worker := t.joined(start.ID)
			leader.stop()
			a := worker.ask("SEND_FILE ('PG_VERSION')")
			t.want(start.ID != "" && !strings.Contains(a.message, start.ID), "a message without the id", "%s", a.message)
		}},
	}
}
