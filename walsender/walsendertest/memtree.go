package walsendertest

import (
	"path"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// memTree is a [Sample] in memory: the rows of its listing in their order, and what
// makes the files' contents. The small files are not in it.
type memTree struct {
	rows  []protocol.File
	files map[string]content
}

func (t *memTree) dir(name string) { t.row(name, protocol.TypeDirectory, 0) }

func (t *memTree) link(name, _ string) { t.row(name, protocol.TypeLink, 0) }

func (t *memTree) file(name string, data []byte) { t.generate(name, literal(data)) }

func (t *memTree) generate(name string, c content) {
	t.row(name, protocol.TypeFile, c.size)
	t.files[name] = c
}

func (t *memTree) row(name string, kind protocol.FileType, size int64) {
	t.rows = append(t.rows, protocol.File{Path: name, Type: kind, Size: size, ModTime: sampleTime})
}

// remove takes files out again.
func (t *memTree) remove(out func(name string) bool) {
	kept := t.rows[:0]
	for _, row := range t.rows {
		if row.Type == protocol.TypeFile && out(row.Path) {
			delete(t.files, row.Path)
			continue
		}
		kept = append(kept, row)
	}
	t.rows = kept
}

// unloggedFork reports whether the file is one of the unlogged relation that
// recovery makes anew from its _init fork.
func unloggedFork(name string) bool {
	base := path.Base(name)
	number, _, _ := strings.Cut(base, ".")
	return (number == "30000" || number == "30000_fsm") && strings.HasPrefix(name, "base/")
}
