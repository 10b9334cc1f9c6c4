package walsendertest

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Speaker is who a [Message] is from.
type Speaker int

// The speakers.
const (
	FromClient Speaker = iota // a command; \quit and the like for other messages
	FromServer                // an answer, or what a fault put in its place
	FromWire                  // how connections begin and end, and which faults happen
)

// Message is a line of a [Transcript]: a message, or several of the same in a row.
type Message struct {
	Seq     int       // the order over all sessions, from 1
	At      time.Time // when it passed, or the first of several
	Session string    // A for the first that connected, B, …; empty for what is no session's
	From    Speaker
	Text    string // of a command as it was sent; of file data only the length
	Times   int    // 1, or how often it was said in a row
}

// Transcript is what the sessions of a server said, in the order in which it passed.
// Between two sessions that order is only as good as the scheduler's. Of a result
// only the first 1000 rows are kept one by one.
type Transcript []Message

// Session is what one session said.
func (t Transcript) Session(name string) Transcript {
	var own Transcript
	for _, m := range t {
		if m.Session == name {
			own = append(own, m)
		}
	}
	return own
}

// Commands are the texts of the clients' messages.
func (t Transcript) Commands() []string {
	var commands []string
	for _, m := range t {
		if m.From == FromClient {
			commands = append(commands, m.Text)
		}
	}
	return commands
}

// String is the transcript in lines: "A> COMMAND" for what session A sent, indented
// what it was told, "A<" before that where another session spoke in between, and "#"
// before what happened besides. Ids of backups are $id, $id2, …, their first eight
// characters $id8, so that transcripts can be compared.
func (t Transcript) String() string {
	var out strings.Builder
	speaking := ""
	for _, m := range t {
		switch m.From {
		case FromClient:
			fmt.Fprintf(&out, "%s> %s\n", m.Session, m.Text)
			speaking = m.Session
		case FromServer:
			if speaking != m.Session {
				fmt.Fprintf(&out, "%s<\n", m.Session)
				speaking = m.Session
			}
			fmt.Fprintf(&out, "  %s%s\n", m.Text, times(m.Times))
		case FromWire:
			fmt.Fprintf(&out, "# %s\n", strings.TrimPrefix(m.Session+": "+m.Text, ": "))
		}
	}
	return hideIDs(out.String())
}

func times(n int) string {
	if n > 1 {
		return fmt.Sprintf(" (%d times)", n)
	}
	return ""
}

// backupID is what an id looks like.
var backupID = regexp.MustCompile(`\b[0-9a-f]{32}\b`)

func hideIDs(text string) string {
	names := map[string]string{}
	for _, id := range backupID.FindAllString(text, -1) {
		if names[id] != "" {
			continue
		}
		names[id] = "$id"
		if len(names) > 1 {
			names[id] = fmt.Sprintf("$id%d", len(names))
		}
		text = strings.ReplaceAll(text, id, names[id])
		text = strings.ReplaceAll(text, `"`+id[:8]+`"`, `"$id8"`)
	}
	return text
}
