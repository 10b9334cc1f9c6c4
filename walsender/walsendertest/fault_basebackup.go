package walsendertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"
)

// CutArchive closes the connection after n bytes of an archive of a BASE_BACKUP (§9.1),
// inside of a message. name is the archive's as the server tells it: base.tar, 16500.tar, with
// a suffix where it is compressed; up to PostgreSQL 14, where no names are told, the same.
func CutArchive(name string, n int64) Fault {
	return sessionFault(fmt.Sprintf("CutArchive(%q, %d)", name, n), func(s *session, f *armedFault) tap {
		var in archives
		return func(m message, next sender) error {
			data := in.follow(s, m)
			end := in.offset + int64(len(data))
			if in.name != name || in.offset > n || end <= n || !f.happens(s) {
				return next(m)
			}
			if err := s.tear(m, 5+len(m.body)-int(end-n)); err != nil {
				return err
			}
			return errCut
		}
	})
}

// WrongManifest sends a BASE_BACKUP's manifest with another checksum of the file than its
// own, as of a file that was damaged on its way. The checksum of the manifest is right. The
// file's path is one that the manifest does not encode; where it has no checksums, nothing
// happens.
func WrongManifest(path string) Fault {
	return manifestFault(fmt.Sprintf("WrongManifest(%q)", path), func(text []byte) bool {
		const checksum = `"Checksum": "`
		_, file, found := bytes.Cut(text, fmt.Appendf(nil, `"Path": %q,`, path))
		file, _, _ = bytes.Cut(file, []byte("\n"))
		at := bytes.Index(file, []byte(checksum))
		if !found || at < 0 {
			return false
		}
		changeDigit(&file[at+len(checksum)])
		own := ownChecksum(text)
		if own < 0 {
			return false
		}
		sum := sha256.Sum256(text[:bytes.LastIndexByte(text[:own], '\n')+1])
		copy(text[own:], fmt.Appendf(nil, "%x", sum))
		return true
	})
}

// DamagedManifest sends a BASE_BACKUP's manifest with a checksum of its own that is wrong.
func DamagedManifest() Fault {
	return manifestFault("DamagedManifest()", func(text []byte) bool {
		own := ownChecksum(text)
		if own >= 0 {
			changeDigit(&text[own])
		}
		return own >= 0
	})
}

// ownChecksum is where in a manifest the checksum of itself begins, -1 for nowhere.
func ownChecksum(text []byte) int {
	const own = `"Manifest-Checksum": "`
	at := bytes.LastIndex(text, []byte(own))
	if at < 0 || len(text) < at+len(own)+2*sha256.Size {
		return -1
	}
	return at + len(own)
}

// changeDigit makes another hexadecimal digit of one.
func changeDigit(digit *byte) {
	if *digit == '0' {
		*digit = '1'
	} else {
		*digit = '0'
	}
}

// manifestFault keeps a manifest back to its end, and sends what change makes of it. Where
// change reports false, that is the manifest itself.
func manifestFault(text string, change func(text []byte) bool) Fault {
	return sessionFault(text, func(s *session, f *armedFault) tap {
		var in archives
		var kept []byte
		return func(m message, next sender) error {
			data := in.follow(s, m)
			if in.name == manifestName && data != nil {
				kept = append(kept, data...)
				return nil
			}
			if m.kind == 'c' && kept != nil {
				if changed := slices.Clone(kept); change(changed) && f.happens(s) {
					kept = changed
				}
				if err := in.send(m, kept, next); err != nil {
					return err
				}
				kept = nil
			}
			return next(m)
		}
	})
}

const (
	manifestName = "backup_manifest"
	archiveFrame = 32 << 10 // the payload of a message, in bytes, as PostgreSQL has it
)

// archives follows a BASE_BACKUP's answer, and knows of which archive the data is.
type archives struct {
	answer *answer
	one    bool     // all is one COPY, whose messages say what they are: from 15 on
	names  []string // up to 14: of the COPYs to come
	name   string   // of the archive under way; manifestName for the manifest
	offset int64    // in the archive, of the data that follow returned
	next   int64    // of the data to come
}

// follow takes note of a message, and returns what bytes of an archive or of the manifest
// are in it: the message's last ones; nil for none.
func (a *archives) follow(s *session, m message) []byte {
	if m.answer.verb != "BASE_BACKUP" {
		return nil
	}
	if a.answer != m.answer {
		*a = archives{answer: m.answer, one: s.oneStream()}
	}
	a.offset = a.next
	switch m.kind {
	case 'D':
		a.list(m.body)
	case 'H':
		if !a.one {
			a.begin(a.names[0])
			a.names = a.names[1:]
		}
	case 'd':
		return a.data(m.body)
	}
	return nil
}

// list takes a row of the list of tablespaces, which says what COPYs there will be.
func (a *archives) list(body []byte) {
	var row pgproto3.DataRow
	if row.Decode(body) != nil || len(row.Values) != 3 {
		return
	}
	if row.Values[0] == nil { // the data directory, which comes last
		a.names = append(a.names, "base.tar", manifestName)
		return
	}
	a.names = append(a.names, string(row.Values[0])+".tar")
}

func (a *archives) begin(name string) { a.name, a.offset, a.next = name, 0, 0 }

func (a *archives) data(body []byte) []byte {
	if a.one {
		switch body[0] {
		case 'n':
			name, _, _ := bytes.Cut(body[1:], []byte{0})
			a.begin(string(name))
			return nil
		case 'm':
			a.begin(manifestName)
			return nil
		case 'd':
			body = body[1:]
		default:
			return nil
		}
	}
	a.next += int64(len(body))
	return body
}

// send sends data of the archive under way ahead of m.
func (a *archives) send(m message, data []byte, next sender) error {
	for piece := range slices.Chunk(data, archiveFrame) {
		if a.one {
			piece = append([]byte{'d'}, piece...)
		}
		if err := next(m.say(&pgproto3.CopyData{Data: piece})); err != nil {
			return err
		}
	}
	return nil
}

// oneStream reports whether the server sends a BASE_BACKUP as one COPY.
func (s *session) oneStream() bool {
	settings, err := s.server.Config.Cluster.Settings(context.Background())
	return err != nil || settings.ServerVersionNum >= 15_00_00
}
