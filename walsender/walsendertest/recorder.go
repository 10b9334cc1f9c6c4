package walsendertest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// rowsKept is how many rows of a result are recorded one by one: a listing may have
// millions.
const rowsKept = 1000

// recorder gathers a [Transcript].
type recorder struct {
	mu       sync.Mutex
	messages []Message
	last     map[string]int // index of each session's last message
}

func (r *recorder) transcript() Transcript {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

// add appends a line. What a session is told again is only counted.
func (r *recorder) add(session string, from Speaker, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i, ok := r.last[session]; ok && from == FromServer {
		if last := &r.messages[i]; last.From == FromServer && last.Text == text {
			last.Times++
			return
		}
	}
	if r.last == nil {
		r.last = map[string]int{}
	}
	r.last[session] = len(r.messages)
	r.messages = append(r.messages, Message{
		Seq: len(r.messages) + 1, At: time.Now(), Session: session, From: from, Text: text, Times: 1,
	})
}

// asked records what a client sent.
func (r *recorder) asked(s *session, text string) { r.add(s.name, FromClient, text) }

// said records what a client was told.
func (r *recorder) said(s *session, m message) {
	if m.kind == 'D' {
		if m.answer.rows++; m.answer.rows > rowsKept {
			r.add(s.name, FromServer, "DataRow …")
			return
		}
	}
	text := describe(m.kind, m.body)
	if len(m.files) > 0 {
		text += fmt.Sprintf(" with %d descriptors", len(m.files))
	}
	r.add(s.name, FromServer, text)
}

// note records what happened besides; w may be nil.
func (r *recorder) note(s *session, text string) {
	name := ""
	if s != nil {
		name = s.name
	}
	r.add(name, FromWire, text)
}

// began records a connection by the parameters that tell it from others.
func (r *recorder) began(s *session, parameters map[string]string) {
	text := "connected"
	for _, name := range []string{"user", "application_name", "replication"} {
		if value, ok := parameters[name]; ok {
			text += fmt.Sprintf(" %s=%s", name, value)
		}
	}
	r.note(s, text)
}

// ended records how the client's side of a connection ended.
func (r *recorder) ended(s *session, err error) {
	if errors.Is(err, io.EOF) {
		r.note(s, "closed by the client")
	}
}
