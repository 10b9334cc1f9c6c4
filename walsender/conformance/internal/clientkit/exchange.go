package clientkit

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// exchange is a command and its answer, as they passed. Its numbers are those of
// [walsendertest.Message.Seq].
type exchange struct {
	session  string
	text     string
	verb     string // the first word, in upper case
	path     string // what SEND_FILE asks for
	asked    int
	answered int // ReadyForQuery; 0: it never came
	code     string
	copied   bool // CopyDone came
	complete bool // CommandComplete came
	rows     [][]string
}

// ok reports whether the command succeeded.
func (x *exchange) ok() bool { return x.answered > 0 && x.complete && x.code == "" }

// data reports whether the command asks for a file of the backup, WAL excepted.
func (x *exchange) data() bool {
	return x.verb == "SEND_FILE" && !strings.HasPrefix(x.path, "pg_wal/")
}

// before reports whether x was over when y was asked: in one session that is so of
// whatever was asked before.
func (x *exchange) before(y *exchange) bool {
	return x.asked < y.asked && (x.session == y.session || x.answered > 0 && x.answered < y.asked)
}

// exchanges reads the commands and their answers out of a transcript, in the order in
// which they were asked.
func exchanges(t walsendertest.Transcript) []*exchange {
	var all []*exchange
	pending := map[string][]*exchange{} // by session; the first is under way
	for _, m := range t {
		queue, known := pending[m.Session]
		if !known {
			queue = []*exchange{{session: m.Session}} // the answer to the startup packet
		}
		switch {
		case m.From == walsendertest.FromClient && (!strings.HasPrefix(m.Text, `\`) || m.Text == `\Sync`):
			x := newExchange(m)
			all = append(all, x)
			queue = append(queue, x)
		case m.From == walsendertest.FromServer && len(queue) > 0:
			if queue[0].heard(m) {
				queue = queue[1:]
			}
		}
		pending[m.Session] = queue
	}
	return all
}

func newExchange(m walsendertest.Message) *exchange {
	path, _ := grammar.SentPath(m.Text)
	return &exchange{session: m.Session, text: m.Text, asked: m.Seq, verb: grammar.Verb(m.Text), path: path}
}

// heard takes a message of the answer, and reports whether it is the last.
func (x *exchange) heard(m walsendertest.Message) bool {
	kind, rest, _ := strings.Cut(m.Text, " ")
	switch kind {
	case "ReadyForQuery":
		x.answered = m.Seq
		return true
	case "ErrorResponse":
		if fields := strings.Fields(rest); len(fields) > 1 {
			x.code = fields[1]
		}
	case "CopyDone":
		x.copied = true
	case "CommandComplete":
		x.complete = true
	case "DataRow":
		x.rows = append(x.rows, rowValues(rest))
	}
	return false
}

// value is one of a row of a transcript.
var value = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|NULL`)

// null is what stands for NULL in the rows of an exchange. No text of the protocol
// holds a NUL.
const null = "\x00"

func rowValues(text string) []string {
	var values []string
	for _, v := range value.FindAllString(text, -1) {
		unquoted, err := strconv.Unquote(v)
		if err != nil {
			unquoted = null
		}
		values = append(values, unquoted)
	}
	return values
}
