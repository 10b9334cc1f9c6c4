package walsendertest

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/grammar"
)

// WrongDigest tells a wrong digest of the file, whenever one is asked for (§8.3): in a listing, and
// by FILE_DIGESTS, where the first one is wrong. It is as long as the right one.
func WrongDigest(path string) Fault {
	return digests(fmt.Sprintf("WrongDigest(%q)", path), func(s *session, f *armedFault, of string, digest []byte) []byte {
		if of != path || len(digest) == 0 {
			return digest
		}
		f.happens(s)
		digest = bytes.Clone(digest)
		if digest[0]++; digest[0] == '9'+1 || digest[0] == 'f'+1 { // where they are digits, they stay so
			digest[0] = '0'
		}
		return digest
	})
}

// OldDigests tells of each file what it told first, whatever has been written to it since: a cache
// that does not look (§8.3).
func OldDigests() Fault {
	type asked struct {
		server *recorder // a fault may be given to many servers
		length int       // that of the digests tells the algorithms apart
		path   string
	}
	var mu sync.Mutex
	told := map[asked][]byte{}
	return digests("OldDigests()", func(s *session, f *armedFault, of string, digest []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		key := asked{f.record, len(digest), of}
		if old, ok := told[key]; ok {
			f.happens(s)
			return old
		}
		told[key] = bytes.Clone(digest)
		return digest
	})
}

// ShortRange sends the first n bytes at most of any range of the file, and ends it properly
// (§8.3). The file as a whole is sent as it is.
func ShortRange(path string, n int64) Fault {
	return always(fmt.Sprintf("ShortRange(%q, %d)", path, n), func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			send, _ := parsed(m.answer).(grammar.SendFile)
			if !m.of(path) || !send.IsRange() || m.offset+int64(len(m.body)) <= n {
				return next(m)
			}
			f.happens(s)
			m.body = m.body[:max(0, n-m.offset)]
			if len(m.body) == 0 {
				return nil
			}
			return next(m)
		}
	})
}

// digests is a fault in what is told of the digest of a file, as it stands in the message.
func digests(text string, change func(s *session, f *armedFault, of string, digest []byte) []byte) Fault {
	return always(text, func(s *session, f *armedFault) tap {
		return func(m message, next sender) error {
			switch c := parsed(m.answer).(type) {
			case grammar.FileDigests:
				if m.kind == 'd' {
					m.body = change(s, f, c.Path, m.body)
				}
			case grammar.ListFiles:
				var row pgproto3.DataRow
				if m.kind != 'D' || c.Checksum == "" || row.Decode(m.body) != nil || len(row.Values) < 5 || row.Values[4] == nil {
					break
				}
				row.Values = slices.Clone(row.Values)
				row.Values[4] = change(s, f, string(row.Values[0]), row.Values[4])
				m = m.say(&row)
			}
			return next(m)
		}
	})
}

// parsed is the command that is answered; nil where there is none.
func parsed(a *answer) grammar.Command {
	switch a.verb {
	case "FILE_DIGESTS", "LIST_FILES", "SEND_FILE":
		c, _ := grammar.Parse(a.command) // the server has said what is wrong
		return c
	}
	return nil
}
