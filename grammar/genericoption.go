package grammar

import (
	"strings"

	"github.com/alecthomas/participle/v2/lexer"

	"github.com/pgparallel/pgparallel/protocol"
)

// genericOption is one of the options in parentheses that PostgreSQL's commands have from
// 15 on: a name, and perhaps a value (generic_option in replication/repl_gram.y).
type genericOption struct {
	Name  lexer.Token  `parser:"@(Word | Name)"`
	Value *lexer.Token `parser:"@(Word | Name | String | Integer)?"`
}

// boolean is the value of an option that is true where it has none (defGetBoolean in
// PostgreSQL's define.c).
func (o genericOption) boolean() (bool, error) {
	if o.Value == nil {
		return true, nil
	}
	text := o.Value.Value
	if text[0] == '\'' || text[0] == '"' {
		text = unquote(text)
	}
	switch strings.ToLower(text) {
	case "true", "on", "1":
		return true, nil
	case "false", "off", "0":
		return false, nil
	}
	name, err := nameValue(o.Name)
	if err != nil {
		return false, err
	}
	return false, errorAt(*o.Value, protocol.CodeSyntaxError, "%s requires a Boolean value", protocol.Shorten(name, maxQuoted))
}
