package protocol_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pgparallel/pgparallel/protocol"
)

// These tests keep PROTOCOL.md to what the code does.

// leftOut is a line that stands for any number of lines of a transcript.
const leftOut = "…"

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced block of PROTOCOL.md.
type block struct {
	language string
	line     int // of the opening fence, from 1
	lines    []string
}

func fencedBlocks(t *testing.T, document string) []block {
	t.Helper()
	var blocks []block
	open := false
	for i, line := range strings.Split(document, "\n") {
		language, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open:
			open = false
		case fence:
			blocks = append(blocks, block{language: language, line: i + 1})
			open = true
		case open:
			last := &blocks[len(blocks)-1]
			last.lines = append(last.lines, line)
		}
	}
	if open {
		t.Fatal("PROTOCOL.md ends inside a fenced block")
	}
	return blocks
}

// occurs reports whether text has all the lines of pattern next to each other, but
// for what leftOut stands for. anchored says that the first line must be the first.
// An indented leftOut is within an answer: it stands for no command.
func occurs(pattern, text []string, anchored bool) bool {
	if len(pattern) == 0 {
		return true
	}
	if strings.TrimSpace(pattern[0]) == leftOut {
		inAnswer := pattern[0] != leftOut
		for i := 0; i <= len(text); i++ {
			if occurs(pattern[1:], text[i:], true) {
				return true
			}
			if inAnswer && i < len(text) && !strings.HasPrefix(text[i], "  ") {
				return false
			}
		}
		return false
	}
	for i := range text {
		if text[i] == pattern[0] && occurs(pattern[1:], text[i+1:], true) {
			return true
		}
		if anchored {
			return false
		}
	}
	return false
}

// endsAnswer reports whether the line is the last of an answer.
func endsAnswer(line string) bool {
	return strings.HasPrefix(line, "  ReadyForQuery") || line == "  EOF"
}

func isCommand(line string) bool {
	return len(line) > 3 && 'A' <= line[0] && line[0] <= 'Z' && line[1:3] == "> "
}

func committedTranscripts(t *testing.T) [][]string {
	t.Helper()
	names, err := filepath.Glob("../walsender/testdata/transcripts/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	var all [][]string
	for _, name := range names {
		lines := strings.Split(readText(t, name), "\n")
		all = append(all, slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") }))
	}
	return all
}

func TestProtocolMD_Transcripts(t *testing.T) {
	transcripts := committedTranscripts(t)
	shown := ""
	for _, b := range fencedBlocks(t, readText(t, "PROTOCOL.md")) {
		if b.language != "transcript" {
			if slices.ContainsFunc(b.lines, isCommand) {
				t.Errorf("PROTOCOL.md:%d: a transcript that is not marked as one", b.line)
			}
			continue
		}
		shown += strings.Join(b.lines, "\n") + "\n"
		if len(b.lines) == 0 || !isCommand(b.lines[0]) || !endsAnswer(b.lines[len(b.lines)-1]) {
			t.Errorf("PROTOCOL.md:%d: a transcript goes from a command to the end of an answer", b.line)
			continue
		}
		found := slices.ContainsFunc(transcripts, func(text []string) bool { return occurs(b.lines, text, false) })
		if !found {
			t.Errorf("PROTOCOL.md:%d: in no transcript:\n%s", b.line, strings.Join(b.lines, "\n"))
		}
	}
	for _, command := range []string{
		"START_BACKUP", "JOIN_BACKUP", "STOP_BACKUP", "LIST_TABLESPACES", "LIST_FILES",
		"LIST_WAL_FILES", "SEND_FILE", "IDENTIFY_SYSTEM", "SHOW", "TIMELINE_HISTORY",
		"START_REPLICATION", "CREATE_REPLICATION_SLOT", "READ_REPLICATION_SLOT",
	} {
		if !strings.Contains(shown, "> "+command) {
			t.Errorf("PROTOCOL.md shows no transcript of %s", command)
		}
	}
}

func TestOccurs(t *testing.T) {
	text := strings.Split("A> X\n  1\n  2\n  3\nB> Y\n  4", "\n")
	for _, test := range []struct {
		pattern string
		want    bool
	}{
		{"A> X\n  1\n  2\n  3", true},
		{"B> Y\n  4", true},
		{"A> X\n  1\n  …\n  3", true},
		{"A> X\n  …\n  1\n  2\n  3", true},
		{"A> X\n…\nB> Y\n  4", true},
		{"A> X\n  1\n  3", false},
		{"A> X\n  2\n  1", false},
		{"A> X\nB> Y\n  4", false},
		{"A> X\n  1\n  …\n  4", false},
		{"A> Z\n  1", false},
	} {
		if got := occurs(strings.Split(test.pattern, "\n"), text, false); got != test.want {
			t.Errorf("occurs(%q) is %v", test.pattern, got)
		}
	}
}

func TestProtocolMD_2_EBNF(t *testing.T) {
	want := strings.Fields(readText(t, "../grammar/testdata/grammar.ebnf"))
	var got []string
	for _, b := range fencedBlocks(t, readText(t, "PROTOCOL.md")) {
		if b.language == "ebnf" {
			got = append(got, strings.Fields(strings.Join(b.lines, "\n"))...)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("grammar of PROTOCOL.md (-grammar.ebnf +PROTOCOL.md):\n%s", diff)
	}
}

// sqlstates are the values of the constants Code… of error.go by their names.
func sqlstates(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Code") && len(spec.Values) == 1 {
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				if code, err := strconv.Unquote(literal.Value); err == nil {
					codes[spec.Names[0].Name] = code
				}
			}
		}
		return true
	})
	if len(codes) < 20 {
		t.Fatalf("only %d SQLSTATEs in error.go", len(codes))
	}
	return codes
}

func TestProtocolMD_SQLSTATE(t *testing.T) {
	document := readText(t, "PROTOCOL.md")
	_, appendix, _ := strings.Cut(document, "\n## Appendix A")
	appendix, _, _ = strings.Cut(appendix, "\n## ")
	known := map[string]bool{}
	for name, code := range sqlstates(t) {
		known[code] = true
		if !strings.Contains(appendix, "\n| `"+code+"` | ") {
			t.Errorf("appendix A of PROTOCOL.md does not tell when %s (%s) comes", code, name)
		}
	}
	for _, m := range regexp.MustCompile("`([0-9X][0-9A-Z]{4})`").FindAllStringSubmatch(document, -1) {
		if !known[m[1]] {
			t.Errorf("PROTOCOL.md mentions the SQLSTATE %s, which error.go does not have", m[1])
		}
	}
}

func TestProtocolMD_Columns(t *testing.T) {
	types := map[uint32]string{18: `"char"`, 20: "int8", 25: "text", 26: "oid"}
	document := readText(t, "PROTOCOL.md")
	for _, test := range []struct {
		section string
		columns []protocol.Column
	}{
		{"### 4.1 ", protocol.BackupStartColumns()},
		{"### 4.3 ", protocol.BackupStopColumns()},
		{"### 4.4 ", protocol.TablespaceColumns()},
		{"### 4.5 ", protocol.FileColumns()},
		{"### 4.7 ", protocol.FileColumns()},
		{"### 8.2 ", protocol.BackupStatusColumns()},
		{"### 8.3 ", protocol.FileChecksumColumns()[len(protocol.FileColumns()):]},
		{"### 4.9 ", append(protocol.SystemColumns(), protocol.HistoryFileColumns()...)},
		{"### 9.2 ", slices.Concat(protocol.CreatedSlotColumns(), protocol.SlotColumns(), protocol.NextTimelineColumns())},
	} {
		_, section, _ := strings.Cut(document, "\n"+test.section)
		section, _, _ = strings.Cut(section, "\n##")
		var want, got []string
		for _, c := range test.columns {
			want = append(want, c.Name+" "+types[c.Type])
		}
		for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (text|int8|oid|\"char\") \\|").FindAllStringSubmatch(section, -1) {
			got = append(got, m[1]+" "+m[2])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("columns in %s(-code +PROTOCOL.md):\n%s", test.section, diff)
		}
	}
}

// TestProtocolMD_Sections makes sure that what the project's comments cite is there.
func TestProtocolMD_Sections(t *testing.T) {
	there := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:## |### |\*\*)(\d(?:\.\d+)?)\b`).FindAllStringSubmatch(readText(t, "PROTOCOL.md"), -1) {
		if there[m[1]] {
			t.Errorf("PROTOCOL.md has two sections %s", m[1])
		}
		there[m[1]] = true
	}
	for major, last := range map[int]int{1: 11, 2: 6, 3: 9, 4: 9, 5: 14, 6: 1, 7: 2} {
		for minor := 1; minor <= last; minor++ {
			if number := strconv.Itoa(major) + "." + strconv.Itoa(minor); !there[number] {
				t.Errorf("PROTOCOL.md has no section %s", number)
			}
		}
	}
	cited := regexp.MustCompile(`§(\d(?:\.\d+)?)\b`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" && filepath.Base(path) != "PROTOCOL.md" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range cited.FindAllStringSubmatch(string(text), -1) {
			if !there[m[1]] {
				t.Errorf("%s cites §%s, which PROTOCOL.md does not have", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
