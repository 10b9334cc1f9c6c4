package clientkit

import (
	"strings"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// isOurs reports whether a verb is that of one of the seven commands of the protocol.
func isOurs(verb string) bool {
	switch verb {
	case "START_BACKUP", "JOIN_BACKUP", "STOP_BACKUP", "LIST_TABLESPACES", "LIST_FILES", "LIST_WAL_FILES", "SEND_FILE":
		return true
	}
	return false
}

// wellFormed: every command of the protocol is one by the grammar.
func wellFormed(e *evidence) *rule.Finding {
	for _, x := range e.exchanges {
		if !isOurs(x.verb) {
			continue
		}
		if _, err := grammar.Parse(x.text); err != nil {
			return rule.Found("every Query is one command of the grammar", "%q: %v", x.text, err)
		}
	}
	return nil
}

// upperCase: keywords are written in upper case.
func upperCase(e *evidence) *rule.Finding {
	for _, x := range e.exchanges {
		if !isOurs(x.verb) {
			continue
		}
		if keywords := withoutStrings(x.text); keywords != strings.ToUpper(keywords) {
			return rule.Found("keywords are in upper case", "%q", x.text)
		}
	}
	return nil
}

// ofExtension are the words of commands that version 1 does not have (§8).
var ofExtension = map[string]bool{"DESCRIPTOR": true, "CHECKSUM": true, "OFFSET": true, "LENGTH": true, "FILE_DIGESTS": true}

// usesNone: no command is one of an extension.
func usesNone(e *evidence) *rule.Finding {
	for _, x := range e.exchanges {
		for _, word := range strings.Fields(strings.ToUpper(withoutStrings(x.text))) {
			if ofExtension[word] {
				return rule.Found("no command of an extension that was not announced", "%q", x.text)
			}
		}
	}
	return nil
}

// withoutStrings is a command without what is in quotes.
func withoutStrings(text string) string {
	parts := strings.Split(text, "'")
	var outside strings.Builder
	for i := 0; i < len(parts); i += 2 {
		outside.WriteString(parts[i])
	}
	return outside.String()
}

// othersJoin: the files come over more than one session, and each that is not the
// leader has joined.
func othersJoin(e *evidence) *rule.Finding {
	start := e.succeeded("START_BACKUP")
	if start == nil {
		return rule.Found("START_BACKUP on one connection", "there was none")
	}
	sessions := map[string]bool{}
	for _, x := range e.sent() {
		sessions[x.session] = true
	}
	delete(sessions, start.session)
	if len(sessions) < e.target.Jobs-1 {
		return rule.Found("files come over the sessions that joined, as many as were asked for", "%d sessions besides the leader sent files", len(sessions))
	}
	return nil
}

// inOrder: the last success of one verb comes before the first of another is asked.
func inOrder(earlier, later string) check {
	return func(e *evidence) *rule.Finding {
		expected := earlier + " is answered before " + later + " is sent"
		a, b := e.succeeded(earlier), e.succeeded(later)
		switch {
		case a == nil:
			return rule.Found(expected, "there was no %s", earlier)
		case b == nil:
			return rule.Found(expected, "there was no %s", later)
		case !a.before(b):
			return rule.Found(expected, "%s was sent first", later)
		}
		return nil
	}
}

// listedAfterStart: the files are listed while the backup runs, before the first is sent.
// Lists that come later look for what has changed (§5.14).
func listedAfterStart(e *evidence) *rule.Finding {
	start, sent := e.succeeded("START_BACKUP"), e.sent()
	for _, x := range e.asked("LIST_FILES") {
		if start != nil && start.before(x) && (len(sent) == 0 || x.asked < sent[0].asked) {
			return nil
		}
	}
	return rule.Found("LIST_FILES comes after START_BACKUP", "the files were listed before, or not at all")
}

// sentOnce: every file that was listed is sent exactly once with success. Lists that
// come later than pg_control are only for what §5.14 looks for.
func sentOnce(e *evidence) *rule.Finding {
	const expected = "each file is sent exactly once with success"
	times := map[string]int{}
	for _, x := range e.exchanges {
		if x.data() && x.ok() {
			times[x.path]++
		}
	}
	for path, n := range times {
		if n > 1 {
			return rule.Found(expected, "%q was sent %d times", path, n)
		}
	}
	for _, x := range e.asked("LIST_FILES") {
		if control := e.control(); control != nil && control.before(x) {
			continue
		}
		for _, row := range x.rows {
			if len(row) > 1 && row[1] == "f" && times[row[0]] == 0 {
				return rule.Found(expected, "%q was listed and never sent", row[0])
			}
		}
	}
	return nil
}

// controlLast: pg_control is asked for when every other file has been answered.
func controlLast(e *evidence) *rule.Finding {
	const expected = "pg_control is asked for when every other file has been answered"
	control := e.control()
	if control == nil {
		return rule.Found(expected, "it was never sent")
	}
	for _, x := range e.sent() {
		if !x.before(control) {
			return rule.Found(expected, "%q was not yet answered", x.path)
		}
	}
	return nil
}

// stopLast: STOP_BACKUP comes when every file has been answered.
func stopLast(e *evidence) *rule.Finding {
	const expected = "STOP_BACKUP comes when every file of the backup has been answered"
	stops := e.asked("STOP_BACKUP")
	if len(stops) == 0 {
		return rule.Found(expected, "it never came")
	}
	for _, x := range append(e.sent(), e.control()) {
		if x != nil && !x.before(stops[0]) {
			return rule.Found(expected, "%q was not yet answered", x.path)
		}
	}
	return nil
}

// stopNoWait: STOP_BACKUP has NOWAIT.
func stopNoWait(e *evidence) *rule.Finding {
	for _, x := range e.asked("STOP_BACKUP") {
		if !strings.Contains(strings.ToUpper(x.text), "NOWAIT") {
			return rule.Found("STOP_BACKUP NOWAIT, as the client takes the WAL itself", "%q", x.text)
		}
	}
	return nil
}

// walAfterStop: the WAL of the backup is listed and sent after STOP_BACKUP. A list that
// comes earlier may only look whether the WAL is there still (§5.13).
func walAfterStop(e *evidence) *rule.Finding {
	const expected = "the WAL is listed and sent after STOP_BACKUP"
	stop := e.succeeded("STOP_BACKUP")
	if stop == nil {
		return rule.Found(expected, "there was no STOP_BACKUP")
	}
	listed := false
	for _, x := range e.exchanges {
		late := stop.before(x)
		if x.verb == "LIST_WAL_FILES" {
			listed = listed || late
		}
		if strings.HasPrefix(x.path, "pg_wal/") && (!late || !listed) {
			return rule.Found(expected, "%q came before", x.text)
		}
	}
	return nil
}

// tablespacesAgain: LIST_TABLESPACES comes after STOP_BACKUP, too.
func tablespacesAgain(e *evidence) *rule.Finding {
	stop := e.succeeded("STOP_BACKUP")
	for _, x := range e.asked("LIST_TABLESPACES") {
		if stop != nil && stop.before(x) {
			return nil
		}
	}
	return rule.Found("LIST_TABLESPACES is sent after STOP_BACKUP, too", "it was not")
}

// attempts: a file is asked for no more than n times.
func attempts(path string, n int) check {
	return func(e *evidence) *rule.Finding {
		times := 0
		for _, x := range e.exchanges {
			if x.path == path {
				times++
			}
		}
		if times > n {
			return rule.Found("a file is sent again at most 3 times", "%q was asked for %d times", path, times)
		}
		return nil
	}
}

// againElsewhere: the file is sent whole over another session than the one it was lost with.
func againElsewhere(path string) check {
	return func(e *evidence) *rule.Finding {
		sessions := map[string]bool{}
		for _, x := range e.exchanges {
			if x.path == path {
				sessions[x.session] = true
			}
		}
		if len(sessions) < 2 {
			return rule.Found("the file is sent again over another session", "only %d asked for it", len(sessions))
		}
		return nil
	}
}
