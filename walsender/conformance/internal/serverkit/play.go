package serverkit

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// keepaliveWithin is how long a server may take to answer a report that wants a keepalive.
const keepaliveWithin = 10 * time.Second

// firstOneStream is the first major version of PostgreSQL that sends a BASE_BACKUP as one COPY.
const firstOneStream = 15

// places are what stands for itself in the commands of a transcript.
type places struct {
	end      protocol.LSN // where the WAL ended a moment ago
	segment  protocol.LSN // where the last segment begins: {segment}
	timeline protocol.Timeline
	parent   protocol.Timeline // the one before: {parent}; 0 for none
	switched protocol.LSN      // where that was left: {switched}
	before   protocol.LSN      // where the segment before that begins: {before}
}

func (w places) fill(command string) string {
	return strings.NewReplacer("{segment}", w.segment.String(), "{timeline}", fmt.Sprint(w.timeline),
		"{parent}", fmt.Sprint(w.parent), "{switched}", w.switched.String(), "{before}", w.before.String()).Replace(command)
}

// said is the answer to a command that is held against PostgreSQL's.
type said struct {
	answer
	exchange exchange
	stream   *stream
	archives []*archive // of a BASE_BACKUP
	manifest []byte     // of a BASE_BACKUP
	inside   string     // of which archive the data is: its name, or manifestName
	counts   []int64    // what the reports of the progress say
	counted  bool       // a report was the last message
}

const manifestName = "backup_manifest"

// play sends a command and takes its answer, for a transcript. A stream of WAL is taken up to
// its end, and then ended.
func (p *peer) play(command string) *said { return p.playStream(command, nil) }

// playStream is play with what to send once a stream has begun, in the place of a report; nil
// for that. Nothing more is sent then.
func (p *peer) playStream(command string, first []byte) *said {
	s := &said{exchange: exchange{command: command}}
	p.send(query(p.places.fill(command)))
	open := p.hear(func(kind byte, body []byte) (more bool, err error) {
		if err := s.take(kind, body); err != nil {
			return false, err
		}
		if kind == 'W' {
			s.stream = &stream{peer: p, first: first}
			s.stream.begin()
		}
		return !s.ready, p.line(s, kind, body)
	})
	if s.stream != nil && p.conn != nil {
		_ = p.conn.SetReadDeadline(p.deadline()) // the next read fails
		if p.found != nil && s.stream.asked > 0 && !s.ready {
			p.found = nil
			p.fail(command+": a keepalive, for the client has asked for one, or the end of the copy", "nothing for %v", keepaliveWithin)
		}
	}
	if !open {
		s.exchange.add("the connection is closed")
		s.closed = true
	}
	if !p.over() {
		p.played = append(p.played, s.exchange)
	}
	return s
}

func (p *peer) deadline() time.Time {
	deadline, _ := p.ctx.Deadline()
	return deadline
}

// line notes a message.
func (p *peer) line(s *said, kind byte, body []byte) error {
	if s.counted && (kind == 'c' || kind == 'd' && len(body) > 0 && (body[0] == 'n' || body[0] == 'm')) {
		s.tell("progress")
	}
	s.counted = false
	switch kind {
	case 'N', 'S': // they depend on how a server is set up
	case 'T':
		return s.description(body)
	case 'D':
		s.row()
	case 'E':
		var e pgproto3.ErrorResponse
		err := e.Decode(body)
		s.failure(e)
		return err
	case 'C':
		s.exchange.add("CommandComplete %s", s.tag)
	case 'H':
		var m pgproto3.CopyOutResponse
		err := m.Decode(body)
		p.copyOut(s, m)
		return err
	case 'W':
		var m pgproto3.CopyBothResponse
		err := m.Decode(body)
		s.exchange.add("CopyBothResponse, format %d, %d columns", m.OverallFormat, len(m.ColumnFormatCodes))
		return err
	case 'd':
		if s.stream != nil {
			return s.stream.data(s, body)
		}
		return p.copyData(s, body)
	case 'c':
		p.endArchive(s)
		s.tell("CopyDone")
		if s.stream != nil {
			s.stream.end()
		}
	case 'Z':
		s.exchange.add("ReadyForQuery %s", body)
	default:
		s.exchange.add("message %q", kind)
	}
	return nil
}

// tell adds a line about the archive under way.
func (s *said) tell(line string) {
	if n := len(s.archives); n > 0 && s.inside != manifestName && s.archives[n-1].location != "" {
		line = "* " + line
	}
	s.exchange.add("%s", line)
}

// description notes all that a RowDescription says.
func (s *said) description(body []byte) error {
	var m pgproto3.RowDescription
	err := m.Decode(body)
	var columns []string
	for _, f := range m.Fields {
		columns = append(columns, fmt.Sprintf("%s %d (length %d, modifier %d, format %d, of %d.%d)",
			f.Name, f.DataTypeOID, f.DataTypeSize, f.TypeModifier, f.Format, f.TableOID, f.TableAttributeNumber))
	}
	s.columns = s.columns[len(s.columns)-len(m.Fields):] // those of the rows to come
	s.exchange.add("RowDescription %s", strings.Join(columns, ", "))
	return err
}

// valueNames are what stands in the place of a value that another cluster has otherwise.
var valueNames = map[string]string{
	"recptr": "LSN", "xlogpos": "LSN", "restart_lsn": "LSN", "next_tli_startpos": "LSN",
	"tli": "TIMELINE", "timeline": "TIMELINE", "restart_tli": "TIMELINE", "next_tli": "TIMELINE",
	"systemid": "ID", "spcoid": "OID", "spclocation": "LOCATION", "size": "SIZE",
	"filename": "NAME", "content": "CONTENT",
}

// row notes the last row.
func (s *said) row() {
	var values []string
	mark := ""
	for i, value := range s.rows[len(s.rows)-1] {
		name := ""
		if i < len(s.columns) {
			name = s.columns[i].Name
		}
		text := valueNames[name]
		switch {
		case value == nil:
			text = "NULL"
		case text == "":
			text = fmt.Sprintf("%q", value)
		case text == "LSN" && !position.Match(value), text == "TIMELINE" && !number.Match(value):
			text = fmt.Sprintf("%q, which is none", value)
		}
		if name == "spcoid" && value != nil {
			mark = "* "
		}
		values = append(values, text)
	}
	s.exchange.add("%sDataRow (%s)", mark, strings.Join(values, ", "))
}

var (
	position = regexp.MustCompile(`^[0-9A-F]{1,8}/[0-9A-F]{1,8}$`)
	number   = regexp.MustCompile(`^[1-9][0-9]*$`)

	walEnd  = regexp.MustCompile(`(flush position of this server) [0-9A-F]+/[0-9A-F]+`)
	walName = regexp.MustCompile(`\b[0-9A-F]{24}\b`)
	process = regexp.MustCompile(`\bPID [0-9]+`)
	forked  = regexp.MustCompile(`forked from timeline [0-9]+ at [0-9A-F]+/[0-9A-F]+`)
)

// failure notes an error, but for where in the source of a server it is.
func (s *said) failure(e pgproto3.ErrorResponse) {
	text := fmt.Sprintf("%s %s %s", e.Severity, e.Code, e.Message)
	if e.Position != 0 {
		text += fmt.Sprintf(" (at %d)", e.Position)
	}
	for _, part := range []struct{ name, text string }{{"detail", e.Detail}, {"hint", e.Hint}} {
		if part.text != "" {
			text += fmt.Sprintf("; %s: %s", part.name, part.text)
		}
	}
	text = walEnd.ReplaceAllString(text, "$1 LSN")
	text = walName.ReplaceAllString(text, "SEGMENT")
	text = process.ReplaceAllString(text, "PID N")
	text = forked.ReplaceAllString(text, "forked from timeline N at LSN")
	s.exchange.add("ErrorResponse %s", text)
}

// stream is a copy of WAL.
type stream struct {
	*peer
	first []byte // in the place of a report, nothing else is sent then

	at    protocol.LSN // up to where the server has sent
	until protocol.LSN // where the WAL ends, by the last message with WAL

	pieces [][2]protocol.LSN // what came: from, up to
	pages  [][]byte          // the beginning of each

	asked, answered int // keepalives
	ended           bool
}

// begin sends what comes first.
func (s *stream) begin() {
	if s.first != nil {
		s.send(s.first)
		return
	}
	s.ask()
}

// ask asks for a keepalive.
func (s *stream) ask() {
	s.asked++
	s.send(report(s.at, true))
	_ = s.conn.SetReadDeadline(time.Now().Add(keepaliveWithin)) // the next read fails
}

// report is a report of a standby, that WAL up to there has come.
func report(at protocol.LSN, reply bool) []byte {
	body := []byte{wire.KindStandbyStatus}
	for range 3 {
		body = binary.BigEndian.AppendUint64(body, uint64(at))
	}
	body = binary.BigEndian.AppendUint64(body, 0) // the time is not looked at
	if reply {
		return message('d', string(append(body, 1)))
	}
	return message('d', string(append(body, 0)))
}

// data takes a message of the copy. It ends the copy when two keepalives came that were asked
// for, and there is no more WAL.
func (s *stream) data(said *said, body []byte) error {
	switch {
	case len(body) > wire.WALHeader && body[0] == wire.KindWAL:
		begin := protocol.LSN(binary.BigEndian.Uint64(body[1:]))
		s.until = protocol.LSN(binary.BigEndian.Uint64(body[9:]))
		s.at = begin + protocol.LSN(len(body)-wire.WALHeader)
		s.pieces = append(s.pieces, [2]protocol.LSN{begin, s.at})
		s.pages = append(s.pages, append([]byte{}, body[wire.WALHeader:][:min(len(body)-wire.WALHeader, walLongHeader)]...))
		if s.first == nil { // otherwise it may come, or not, ahead of what that leads to
			said.exchange.add("WAL")
		}
	case len(body) == 1+8+8+1 && body[0] == wire.KindKeepalive:
		s.answered++
		s.at = max(s.at, protocol.LSN(binary.BigEndian.Uint64(body[1:])))
		// Without places in the WAL, what is asked for is an error.
		switch caughtUp := s.places.end != 0 && s.at >= max(s.until, s.places.end); {
		case s.first != nil || s.ended:
		case caughtUp && s.answered >= 2:
			s.end()
		default:
			s.ask()
		}
	default:
		said.exchange.add("CopyData of %d bytes, %q", len(body), body[:min(len(body), 1)])
	}
	return nil
}

// end ends the client's side of the copy.
func (s *stream) end() {
	if !s.ended {
		s.ended = true
		s.send(message('c', ""))
	}
}
