package grammar

import (
	"strings"

	"github.com/alecthomas/participle/v2/lexer"

	"github.com/pgparallel/pgparallel/protocol"
)

// statement is a command as it was written. Its method gives the command that is
// meant, or says which value cannot be.
type statement interface {
	meaning() (Command, error)
}

func (s startBackup) meaning() (Command, error) {
	c := StartBackup{Label: DefaultLabel}
	seen := options{}
	for _, o := range s.Options {
		keyword, value, err := seen.next(o.Tokens)
		if err != nil {
			return nil, err
		}
		switch keyword {
		case "LABEL":
			c.Label, err = labelValue(value)
		case "FAST":
			c.Fast = true
		case "MAX_RATE":
			c.MaxRate, err = maxRateValue(value)
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (s joinBackup) meaning() (Command, error) {
	id, err := textValue(s.ID)
	if err != nil {
		return nil, err
	}
	return JoinBackup{ID: id}, nil
}

func (s stopBackup) meaning() (Command, error) {
	return StopBackup(s), nil
}

func (s listTablespaces) meaning() (Command, error) {
	return ListTablespaces(s), nil
}

func (s listFiles) meaning() (Command, error) {
	var c ListFiles
	if s.Tablespace != nil {
		// A location is a file name: bytes.
		c.Tablespace = unquote(s.Tablespace.Value)
	}
	seen := options{}
	for _, o := range s.Options {
		keyword, value, err := seen.next(o.Tokens)
		if err != nil {
			return nil, err
		}
		switch keyword {
		case "CHECKSUM":
			c.Checksum, err = algorithmValue(value)
		case "NOVERIFY_CHECKSUMS":
			c.NoVerifyChecksums = true
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (s listWALFiles) meaning() (Command, error) {
	var c ListWALFiles
	seen := options{}
	for _, o := range s.Options {
		keyword, value, err := seen.next(o.Tokens)
		if err != nil {
			return nil, err
		}
		switch keyword {
		case "START_WAL_LOCATION":
			c.Start, err = locationValue(value)
		case "END_WAL_LOCATION":
			c.End, err = locationValue(value)
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (s sendFile) meaning() (Command, error) {
	c := SendFile{Path: unquote(s.Path.Value)}
	seen := options{}
	for _, o := range s.Options {
		keyword, value, err := seen.next(o.Tokens)
		if err != nil {
			return nil, err
		}
		switch keyword {
		case "NOVERIFY_CHECKSUMS":
			c.NoVerifyChecksums = true
		case "DESCRIPTOR":
			c.Descriptor = true
		case "OFFSET":
			c.Offset, err = bytesValue(keyword, value, 0)
		case "LENGTH":
			c.Length, err = bytesValue(keyword, value, 1)
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (s fileDigests) meaning() (Command, error) {
	c := FileDigests{Path: unquote(s.Path.Value)}
	var err error
	if c.Checksum, err = algorithmValue(s.Checksum); err != nil {
		return nil, err
	}
	seen := options{}
	for _, o := range s.Options {
		keyword, value, err := seen.next(o.Tokens)
		if err != nil {
			return nil, err
		}
		switch keyword {
		case "BLOCK":
			c.Block, err = bytesValue(keyword, value, 1)
		case "NOVERIFY_CHECKSUMS":
			c.NoVerifyChecksums = true
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (s listBackups) meaning() (Command, error) {
	return ListBackups{}, nil
}

func (s alterBackup) meaning() (Command, error) {
	var c AlterBackup
	var err error
	if s.Backup != nil {
		if c.Backup, err = textValue(*s.Backup); err != nil {
			return nil, err
		}
		if c.Backup == "" {
			return nil, errorAt(*s.Backup, protocol.CodeUndefinedObject, "backup \"\" does not exist")
		}
	}
	if s.MaxRate.Value != "0" {
		c.MaxRate, err = maxRateValue(s.MaxRate)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s baseBackup) meaning() (Command, error) {
	var values []string
	for _, t := range s.Text {
		values = append(values, t.Value)
	}
	if n := len(values); n > 0 && values[n-1] == ";" {
		values = values[:n-1]
	}
	return BaseBackup{Text: strings.Join(values, " ")}, nil
}

func (s identifySystem) meaning() (Command, error) {
	return IdentifySystem{}, nil
}

func (s show) meaning() (Command, error) {
	var name strings.Builder
	for _, t := range s.Name {
		part, err := nameValue(t)
		if err != nil {
			return nil, err
		}
		name.WriteString(part)
	}
	return Show{Name: name.String()}, nil
}

func (s timelineHistory) meaning() (Command, error) {
	timeline, err := timelineValue(s.Timeline)
	if err != nil {
		return nil, err
	}
	return TimelineHistory{Timeline: timeline}, nil
}

// options are the keywords of a command's options met so far.
type options map[string]bool

// next takes the tokens of an option, its keyword and perhaps a value (the
// keyword again where it has none). The keyword comes in upper case.
func (seen options) next(tokens []lexer.Token) (keyword string, value lexer.Token, err error) {
	keyword = strings.ToUpper(tokens[0].Value)
	if seen[keyword] {
		return "", lexer.Token{}, errorAt(tokens[0], protocol.CodeSyntaxError, "duplicate option \"%s\"", keyword)
	}
	seen[keyword] = true
	return keyword, tokens[len(tokens)-1], nil
}
