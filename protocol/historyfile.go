package protocol

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
