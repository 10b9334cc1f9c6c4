package serverkit

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// transcripts are what PostgreSQL's own walsender has answered to the commands of the cases, a
// file for each major version. TestTranscripts_Long writes them.
//
//go:embed transcripts/*.txt
var transcripts embed.FS

// The majors whose transcripts there are.
const oldestMajor, newestMajor = 13, 19

// exchange is a command and the answer, a line for each message in which nothing is left that
// another cluster has otherwise: a position is LSN, and several messages of the same kind in a
// row are one. A line that begins with * is about the tablespaces, which there may be.
type exchange struct {
	command string
	lines   []string
}

// add adds a line. One is not repeated, nor is any about the tablespaces.
func (e *exchange) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	repeated := strings.HasPrefix(line, "* ") && slices.Contains(e.lines, line)
	if n := len(e.lines); !repeated && (n == 0 || e.lines[n-1] != line) {
		e.lines = append(e.lines, line)
	}
}

// transcript is the exchanges of each case by its ID.
type transcript map[string][]exchange

// parseTranscript reads what [transcript.String] has written.
func parseTranscript(text string) transcript {
	all, id := transcript{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "> "):
			all[id] = append(all[id], exchange{command: line[2:]})
		case strings.HasPrefix(line, "  "):
			e := &all[id][len(all[id])-1]
			e.lines = append(e.lines, line[2:])
		default:
			id = line
		}
	}
	return all
}

// String is the transcript as its file has it, case by case.
func (all transcript) String() string {
	var text strings.Builder
	for _, c := range Cases() {
		if exchanges := all[c.ID]; len(exchanges) > 0 {
			fmt.Fprintf(&text, "\n%s\n", c.ID)
			for _, e := range exchanges {
				fmt.Fprintf(&text, "> %s\n", e.command)
				for _, line := range e.lines {
					fmt.Fprintf(&text, "  %s\n", line)
				}
			}
		}
	}
	return text.String()
}

// transcriptOf is what PostgreSQL of the major version has said, or of the nearest one that
// there is a transcript of.
func transcriptOf(major int) (transcript, int) {
	major = min(max(major, oldestMajor), newestMajor)
	text, err := transcripts.ReadFile(fmt.Sprintf("transcripts/%d.txt", major))
	if err != nil {
		panic(err) // it is a part of the program
	}
	return parseTranscript(string(text)), major
}

// majorOf is the major version in a server_version; 0 where it has none.
func majorOf(version string) int {
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	major, _ := strconv.Atoi(version[:end])
	return major
}

// compare holds what was said against PostgreSQL's transcript: the first exchange that differs
// in a way which is not accepted is the finding.
func (t *conversation) compare(id string) {
	if t.over() || len(t.played) == 0 {
		return
	}
	all, major := transcriptOf(t.major)
	for i, got := range t.played {
		if i >= len(all[id]) || all[id][i].command != got.command {
			t.fail("a transcript of "+got.command, "the kit has none of PostgreSQL %d", major)
			return
		}
		want, got := all[id][i].comparable(got), got.accepted(id, all[id][i])
		if slices.Equal(want.lines, got.lines) {
			continue
		}
		missing, other := difference(want.lines, got.lines)
		t.found = &rule.Finding{
			Expected: fmt.Sprintf("%s: as PostgreSQL %d: %s", got.command, major, orNothing(missing)),
			Happened: orNothing(other),
			Diff:     diff(want, got),
		}
		return
	}
}

func orNothing(line string) string {
	if line == "" {
		return "nothing more"
	}
	return line
}

// comparable is e without what is about tablespaces, where the other has none.
func (e exchange) comparable(other exchange) exchange {
	aboutTablespaces := func(line string) bool { return strings.HasPrefix(line, "* ") }
	if !slices.ContainsFunc(other.lines, aboutTablespaces) {
		e.lines = slices.DeleteFunc(slices.Clone(e.lines), aboutTablespaces)
	}
	return e
}

// difference is the first line that is not in both, on each side.
func difference(want, got []string) (missing, other string) {
	for i := range max(len(want), len(got)) {
		missing, other = "", ""
		if i < len(want) {
			missing = want[i]
		}
		if i < len(got) {
			other = got[i]
		}
		if missing != other {
			break
		}
	}
	return missing, other
}

// diff shows two answers to a command: PostgreSQL's lines with -, the server's with +.
func diff(want, got exchange) string {
	lines := []string{"> " + want.command}
	common := func(from, to []string) int {
		n := 0
		for n < min(len(from), len(to)) && from[n] == to[n] {
			n++
		}
		return n
	}
	head := common(want.lines, got.lines)
	mark := func(sign string, part []string) {
		for _, line := range part {
			lines = append(lines, sign+" "+line)
		}
	}
	mark(" ", want.lines[:head])
	w, g := slices.Clone(want.lines[head:]), slices.Clone(got.lines[head:])
	slices.Reverse(w)
	slices.Reverse(g)
	tail := common(w, g)
	mark("-", want.lines[head:len(want.lines)-tail])
	mark("+", got.lines[head:len(got.lines)-tail])
	mark(" ", want.lines[len(want.lines)-tail:])
	return strings.Join(lines, "\n")
}

// acceptedDifference is a line that a server may say in the place of PostgreSQL's.
type acceptedDifference struct {
	cases      *regexp.Regexp
	line       *regexp.Regexp // the server's, all of it
	postgreSQL string         // PostgreSQL's, with $1 for a part of the other; empty: it says nothing in this place
	reason     string
}

// accepted is e with PostgreSQL's lines in the place of those that are accepted for them.
func (e exchange) accepted(id string, postgreSQL exchange) exchange {
	out := exchange{command: e.command}
	for _, line := range e.lines {
		if line = acceptedLine(id, line, postgreSQL.lines); line != "" {
			out.lines = append(out.lines, line)
		}
	}
	return out
}

// acceptedLine is the line of PostgreSQL's for which the server's is accepted; empty where it
// may come besides.
func acceptedLine(id, line string, postgreSQL []string) string {
	if slices.Contains(postgreSQL, line) {
		return line
	}
	for _, d := range acceptedDifferences {
		if d.cases.MatchString(id) && d.line.MatchString(line) {
			other := d.line.ReplaceAllString(line, d.postgreSQL)
			if other == "" || slices.Contains(postgreSQL, other) {
				return other
			}
		}
	}
	return line
}

func accept(cases, line, postgreSQL, reason string) acceptedDifference {
	return acceptedDifference{regexp.MustCompile("^" + cases), regexp.MustCompile("^" + line + "$"), postgreSQL, reason}
}

// acceptedDifferences are where a server of PROTOCOL.md may say something else than PostgreSQL.
var acceptedDifferences = []acceptedDifference{
	accept("S-SLOT/006", `ErrorResponse ERROR 42601 syntax error at or near "RESERVE_WAL" .*`,
		"ErrorResponse ERROR 42601 conflicting or redundant options", "the keyword stands once in the syntax (§9.2)"),
	accept("S-(REPLICATION|SLOT)/", `ErrorResponse ERROR (42601|XX000) (.*?)( at or near ".*"| at end of input)? \(at [0-9]+\)`,
		"ErrorResponse ERROR $1 $2", "a mistake in a command is told with its place (§2.6), which PostgreSQL does for SQL only"),
	accept("S-SLOT/005", `ErrorResponse ERROR 42601 zero-length delimited identifier .*`,
		`ErrorResponse ERROR 42602 replication slot name "" is too short`, "no name is empty (§2.2)"),
	accept("S-REPLICATION/", `RowDescription (systemid .*), timeline 20 \(length 8, (.*)`,
		"RowDescription $1, timeline 23 (length 4, $2", "the timeline is an int8, as from 16 on, for every version (§4.9)"),
	accept("S-REPLICATION/00[23]", `RowDescription filename 25 (.*modifier) -1, (.*), content 25 (.*modifier) -1, (.*)`,
		"RowDescription filename 25 $1 0, $2, content 25 $3 0, $4", "a type modifier of 0 is an oddity of 15 and before, and no program looks at it"),
	accept("S-REPLICATION/00[23]", `RowDescription filename 25 (.*modifier) -1, (.*), content 25 (.*modifier) -1, (.*)`,
		"RowDescription filename 25 $1 0, $2, content 17 $3 0, $4", "13 calls a bytea what it sends as the text that all send (§4.9)"),
	accept("S-REPLICATION/010", `ErrorResponse FATAL 08P01 unexpected message type "z"`,
		"", "PostgreSQL tells its log only"),
}
