package serverkit

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

func connectCases() []Case {
	return []Case{
		{rule.Must("S-CONNECT/001", "§1.2", "A request for encryption is answered by one byte."), func(t *conversation) {
			b := t.raw(wire.SSLRequest{}.Encode(nil)).one()
			t.want(b == 'S' || b == 'N', "SSLRequest: S or N", "%q", b)
			b = t.raw(wire.GSSENCRequest{}.Encode(nil)).one()
			t.want(b == 'N', "GSSENCRequest: N", "%q", b)
		}},
		{rule.Must("S-CONNECT/002", "§1.4", "Whoever asks for no replication is told that there is nothing else."), func(t *conversation) {
			t.refusedStartup("0A000", "without replication")
			t.refusedStartup("0A000", "replication=off", "replication", "off")
		}},
		{rule.Must("S-CONNECT/003", "§1.4", "What is no boolean is a mistake."), func(t *conversation) {
			t.refusedStartup("22023", "replication=maybe", "replication", "maybe")
		}},
		{rule.Must("S-CONNECT/004", "§1.1", "Later clients ask for more than 3.0, and are told what they get."), func(t *conversation) {
			a := t.raw(startup(2, []string{"_pq_.conformance"}, "replication", "true")).greeting()
			t.want(a.negotiate != nil, "NegotiateProtocolVersion for 3.2", "%s", a)
			if a.negotiate != nil {
				options := strings.Join(a.negotiate.UnrecognizedOptions, " ")
				t.want(options == "_pq_.conformance", "it names the options that are not known", "%q", options)
			}
		}},
		{rule.Must("S-CONNECT/005", "§1.1", "Another major version is another protocol."), func(t *conversation) {
			packet := startup(0, nil, "replication", "true")
			binary.BigEndian.PutUint32(packet[4:], 2<<16)
			a := t.raw(packet).answer()
			t.want(a.severity == "FATAL", "protocol 2.0: a FATAL error", "%s", a)
		}},
		{rule.Must("S-CONNECT/006", "§1.5", "The parameters tell a client what it talks to, before it has asked."), func(t *conversation) {
			p := t.session()
			for _, name := range []string{
				"server_version", "server_encoding", "client_encoding", "DateStyle", "TimeZone", "in_hot_standby",
				"is_superuser", "session_authorization", "application_name",
			} {
				_, given := p.parameters[name]
				t.want(given, "a ParameterStatus of "+name, "there is none")
			}
			for _, fixed := range [][2]string{{"integer_datetimes", "on"}, {"standard_conforming_strings", "on"}, {"parallel_backup_protocol", "1"}} {
				t.want(p.parameters[fixed[0]] == fixed[1], fmt.Sprintf("%s=%s", fixed[0], fixed[1]), "%q", p.parameters[fixed[0]])
			}
			t.want(slices.Contains([]string{"stream", "kept", "transient"}, p.parameters["parallel_backup_wal"]),
				"parallel_backup_wal is stream, kept or transient", "%q", p.parameters["parallel_backup_wal"])
		}},
		{rule.Must("S-CONNECT/007", "§1.4", "replication=database is the same as true: there is no SQL."), func(t *conversation) {
			p := t.sessionFor("database")
			p.done("LIST_TABLESPACES")
			a := p.ask("SELECT 1")
			t.want(a.code == "0A000" && a.ready, "SELECT 1: 0A000", "%s", a)
		}},
		{rule.Must("S-CONNECT/008", "§1.3", "Whether a CancelRequest was right is nobody's business: the answer is a close."), func(t *conversation) {
			request := wire.CancelRequest{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}}
			a := t.raw(request.Encode(nil)).answer()
			t.want(a.closed && a.kinds == "", "a plain close", "%s", a)
			p := t.session()
			request = wire.CancelRequest{ProcessID: p.pid, SecretKey: p.secret}
			a = t.raw(request.Encode(nil)).answer()
			t.want(a.closed && a.kinds == "", "a plain close", "%s", a)
			p.done("LIST_TABLESPACES") // nothing was running
		}},
		{rule.Must("S-CONNECT/009", "§1.6", "The extended protocol has no place here, and does no harm."), func(t *conversation) {
			p := t.session()
			p.send(message('P', "\x00LIST_TABLESPACES\x00\x00\x00"))
			p.send(message('E', "\x00\x00\x00\x00\x00"))
			p.send(message('S', ""))
			a := p.answer()
			t.want(a.code == "08P01" && a.ready && strings.Count(a.kinds, "E") == 1, "Parse, Execute, Sync: one 08P01, and ReadyForQuery", "%s (%s)", a, a.kinds)
			p.done("LIST_TABLESPACES")
		}},
		{rule.Must("S-CONNECT/010", "§1.7", "Commands can be sent ahead, and an error in one does not skip the next."), func(t *conversation) {
			p := t.session()
			p.send(append(append(query("LIST_TABLESPACES"), query("STOP_BACKUP")...), query("IDENTIFY_SYSTEM")...))
			first, second, third := p.answer(), p.answer(), p.answer()
			t.want(first.tag != "" && second.code == "55000" && third.tag != "", "three answers in order, of which the second is 55000", "%s; %s; %s", first, second, third)
		}},
		{rule.Must("S-CONNECT/011", "§1.2", "What follows an SSLRequest in the same packet was put there by somebody else."), func(t *conversation) {
			p := t.raw(append(wire.SSLRequest{}.Encode(nil), startup(0, nil, "replication", "true")...))
			t.want(p.closes(), "the connection is closed", "it stays open")
		}},
		{rule.Must("S-CONNECT/012", "§1.1", "Clients of PostgreSQL 19 may ask for 3.9999, only to see whether a server negotiates."), func(t *conversation) {
			const grease = "_pq_.test_protocol_negotiation"
			a := t.raw(startup(9999, []string{grease}, "replication", "true")).greeting()
			t.want(a.negotiate != nil, "NegotiateProtocolVersion for 3.9999", "%s", a)
			if a.negotiate != nil {
				t.want(a.negotiate.NewestMinorProtocol < 3<<16|9999, "a version that exists", "%d", a.negotiate.NewestMinorProtocol)
				t.want(slices.Contains(a.negotiate.UnrecognizedOptions, grease), "it names "+grease, "%q", a.negotiate.UnrecognizedOptions)
			}
		}},
		{rule.Must("S-CONNECT/013", "§8.1", "What goes beyond version 1 is announced in one form: a client looks for a name in a list."), announcesNames},
	}
}

// announcesNames is S-CONNECT/013.
func announcesNames(t *conversation) {
	p := t.session()
	value, announced := p.parameters[protocol.ParameterExtensions]
	if !announced || value == "" {
		return // there are none
	}
	names := strings.Split(value, ",")
	t.want(slices.IsSorted(names) && len(slices.Compact(slices.Clone(names))) == len(names), "parallel_backup_extensions: names in order, each once", "%q", value)
	t.want(!slices.ContainsFunc(names, func(name string) bool { return strings.Trim(name, lowerCaseLetters) != "" || name == "" }),
		"parallel_backup_extensions: names in lower case, separated by commas", "%q", value)
}

// lowerCaseLetters are what the name of an extension is made of.
const lowerCaseLetters = "abcdefghijklmnopqrstuvwxyz_"

// refusedStartup wants a FATAL error for a startup packet.
func (t *conversation) refusedStartup(code, what string, parameters ...string) {
	a := t.raw(startup(0, nil, parameters...)).answer()
	t.want(a.severity == "FATAL" && a.code == code && a.closed, what+": FATAL "+code+", and the end", "%s", a)
}

// closes reports whether the server closes the connection within some seconds.
func (p *peer) closes() bool {
	if p.found != nil {
		return false
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(busyFor)) // the read fails
	_, err := io.Copy(io.Discard, p.conn)
	return err == nil || isReset(err)
}

// greeting reads what comes before authentication is over: a server may ask for a password.
func (p *peer) greeting() answer {
	var a answer
	for p.found == nil && !a.closed && !strings.ContainsAny(a.kinds, "RE") {
		kind, body, err := p.frames.Next()
		if err != nil {
			a.closed = true
			break
		}
		if err := a.take(kind, body); err != nil {
			p.fail("messages of the protocol", "%v", err)
		}
	}
	return a
}
