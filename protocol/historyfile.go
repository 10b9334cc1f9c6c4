package protocol

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// HistoryFile is the row of TIMELINE_HISTORY (§4.9).
type HistoryFile struct {
	Name    string // as in pg_wal: 00000002.history
	Content []byte // the file, raw
}

// HistoryFileColumns are the columns of TIMELINE_HISTORY.
func HistoryFileColumns() []Column {
	return []Column{{"filename", oidText}, {"content", oidText}}
}

// Row encodes the row for the wire.
func (h HistoryFile) Row() Row { return Row{[]byte(h.Name), append([]byte{}, h.Content...)} }

// DecodeHistoryFile decodes the row of TIMELINE_HISTORY. A value of the wrong form
// is an error that names its column.
func DecodeHistoryFile(row Row) (HistoryFile, error) {
	r := readRow("TIMELINE_HISTORY", row, HistoryFileColumns())
	h := HistoryFile{Name: r.text(), Content: []byte(r.text())}
	return h, r.err
}

// Ancestor is a line of a history file: a timeline that leads to the file's own, and the
// position at which it was left.
type Ancestor struct {
	Timeline Timeline
	End      LSN
}

// Ancestors are the lines of a history file, in their order, without comments and empty
// lines (readTimeLineHistory in PostgreSQL's timeline.c). For a line of the wrong form
// there is an error in its place. Whether the timelines ascend is not checked.
func Ancestors(content string) iter.Seq2[Ancestor, error] {
	return func(yield func(Ancestor, error) bool) {
		for line := range strings.Lines(content) {
			fields := strings.Fields(line)
			if len(fields) == 0 || fields[0][0] == '#' {
				continue
			}
			if !yield(parseAncestor(line, fields)) {
				return
			}
		}
	}
}

func parseAncestor(line string, fields []string) (Ancestor, error) {
	if len(fields) < 2 {
		return Ancestor{}, fmt.Errorf("%q", Shorten(line, 64))
	}
	tli, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil {
		return Ancestor{}, err
	}
	end, err := ParseLSN(fields[1])
	return Ancestor{Timeline(tli), end}, err
}
