package client

import (
	"fmt"
	"strings"
)

// OptionError says what is wrong with one of [Options], or with several that do not go
// together. [Options.Check], [Backup] and [DryRun] return it before anything is done.
type OptionError struct {
	// Fields are the options, as "Jobs" or "WAL.Slot".
	Fields []string

	format string // the message, with %s for the fields that it names, in their order
}

// wrongOption is an [OptionError]. A % that stands for itself in the message has been
// [escaped].
func wrongOption(format string, fields ...string) error {
	return &OptionError{Fields: fields, format: format}
}

// escaped is a text as a part of a message.
func escaped(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// Error is the message: what is wrong and, where it is not plain, what is possible. It
// has pg_basebackup's words where pg_basebackup knows the mistake, and names options as
// Fields does.
func (e *OptionError) Error() string {
	return e.Text(func(field string) string { return field })
}

// Text is the message with the options called as the user of a program knows them: name
// is given each of those Fields that the message mentions.
func (e *OptionError) Text(name func(field string) string) string {
	names := make([]any, min(strings.Count(strings.ReplaceAll(e.format, "%%", ""), "%s"), len(e.Fields)))
	for i := range names {
		names[i] = name(e.Fields[i])
	}
	return fmt.Sprintf(e.format, names...)
}
