package grammar

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"github.com/pgparallel/pgparallel/protocol"
)

// The lists of options of BASE_BACKUP, as syntax.go has the rest of the grammar: up to
// PostgreSQL 14, and from 15 on.

type keywordOptions struct {
	Options []keywordOption `parser:"@@*"`
}

type keywordOption struct {
	Tokens []lexer.Token `parser:"'LABEL' String | 'PROGRESS' | 'FAST' | 'WAL' | 'NOWAIT' | 'MAX_RATE' Integer | 'TABLESPACE_MAP' | 'NOVERIFY_CHECKSUMS' | 'MANIFEST' String | 'MANIFEST_CHECKSUMS' String"`
}

type parenthesizedOptions struct {
	Options []parenthesizedOption `parser:"'(' @@ (',' @@)* ')'"`
}

type parenthesizedOption struct {
	Name  lexer.Token  `parser:"@(Word | Name)"`
	Value *lexer.Token `parser:"@(Word | Name | String | Integer)?"`
}

var keywordOptionsParser = sync.OnceValue(buildOptions[keywordOptions])

var parenthesizedOptionsParser = sync.OnceValue(buildOptions[parenthesizedOptions])

func buildOptions[G any]() *participle.Parser[G] {
	return participle.MustBuild[G](participle.Lexer(definition{}), participle.CaseInsensitive("Word"))
}

// option is an option with its value, if it has one.
type option struct {
	name  string // folded, unless it was quoted
	value *lexer.Token
}

// parseOptionList reads the options in the way of the major version. A syntax error is
// PostgreSQL's, which does not say where.
func parseOptionList(text string, major int) ([]option, error) {
	if major < firstParenthesized {
		parsed, err := keywordOptionsParser().ParseString("", text)
		if err != nil {
			return nil, listError(err)
		}
		list := make([]option, len(parsed.Options))
		for i, o := range parsed.Options {
			list[i].name = strings.ToLower(o.Tokens[0].Value)
			if len(o.Tokens) > 1 {
				list[i].value = &o.Tokens[1]
			}
		}
		return list, nil
	}
	parsed, err := parenthesizedOptionsParser().ParseString("", text)
	if err != nil {
		return nil, listError(err)
	}
	list := make([]option, len(parsed.Options))
	for i, o := range parsed.Options {
		name, err := nameValue(o.Name)
		if err != nil {
			return nil, withoutPosition(err)
		}
		list[i] = option{name, o.Value}
	}
	return list, nil
}

// listError is participle's error in PostgreSQL's words.
func listError(err error) error {
	if unexpected, ok := errors.AsType[*participle.UnexpectedTokenError](err); ok && unexpected.Unexpected.Type == tokenUnterminated {
		return protocol.Errorf(protocol.CodeSyntaxError, "unterminated quoted string")
	}
	return protocol.Errorf(protocol.CodeSyntaxError, "syntax error")
}

// withoutPosition takes the place off an error: it is none in the client's text.
func withoutPosition(err error) error {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		e.Position = 0
	}
	return err
}

// text is the value as a text, as defGetString of PostgreSQL's define.c has it.
func (o option) text() (string, error) {
	if o.value == nil {
		return "", o.requires("a parameter")
	}
	return o.content()
}

// content is the value of an option that has one.
func (o option) content() (string, error) {
	switch v := o.value.Value; {
	case !utf8.ValidString(v):
		return "", protocol.Errorf(protocol.CodeCharacterNotInRepertoire, invalidUTF8)
	case v[0] == '\'':
		return unquote(v), nil
	case o.value.Type == tokenInteger:
		return v, nil
	}
	name, err := nameValue(*o.value)
	return name, withoutPosition(err)
}

// boolean is the value as defGetBoolean has it: true where there is none.
func (o option) boolean() (bool, error) {
	if o.value == nil {
		return true, nil
	}
	text, err := o.content()
	if err != nil {
		return false, err
	}
	if n, err := strconv.Atoi(text); o.value.Type == tokenInteger && err == nil && n <= 1 {
		return n == 1, nil
	}
	if o.value.Type != tokenInteger {
		switch strings.ToLower(text) {
		case "true", "on":
			return true, nil
		case "false", "off":
			return false, nil
		}
	}
	return false, o.requires("a Boolean value")
}

// negated is the opposite of a value. The older options that have none, as NOWAIT, say
// the opposite by themselves.
func (o option) negated() (bool, error) {
	if strings.HasPrefix(o.name, "no") {
		return true, nil
	}
	value, err := o.boolean()
	return !value, err
}

func (o option) label() (string, error) {
	text, err := o.text()
	if err != nil {
		return "", err
	}
	if wrong := checkLabel(text); wrong != nil {
		return "", wrong
	}
	return text, nil
}

// checkpoint reports whether the checkpoint is to be fast. The older option FAST has no
// value.
func (o option) checkpoint() (fast bool, err error) {
	if o.name == "fast" {
		return true, nil
	}
	text, err := o.text()
	switch {
	case err != nil:
		return false, err
	case strings.EqualFold(text, "fast"):
		return true, nil
	case strings.EqualFold(text, "spread"):
		return false, nil
	}
	return false, o.unrecognized("checkpoint type", text)
}

func (o option) maxRate() (int, error) {
	if o.value == nil || o.value.Type != tokenInteger {
		return 0, o.requires("a numeric value")
	}
	rate, err := maxRateValue(*o.value)
	return rate, withoutPosition(err)
}

func (o option) manifest() (BaseBackupManifest, error) {
	text, err := o.text()
	if err != nil {
		return NoManifest, err
	}
	if strings.EqualFold(text, "force-encode") {
		return ManifestForceEncode, nil
	}
	switch wanted, valid := protocol.ParseBool(text); {
	case !valid:
		return NoManifest, o.unrecognized("manifest option", text)
	case wanted:
		return Manifest, nil
	}
	return NoManifest, nil
}

func (o option) manifestChecksums() (string, error) {
	text, err := o.text()
	if err != nil {
		return "", err
	}
	switch name := strings.ToUpper(text); name {
	case "NONE", "CRC32C", "SHA224", "SHA256", "SHA384", "SHA512":
		return name, nil
	}
	return "", o.unrecognized("checksum algorithm", text)
}

func (o option) compression() (string, error) {
	text, err := o.text()
	if err != nil {
		return "", err
	}
	switch text {
	case "none", "gzip", "lz4", "zstd":
		return text, nil
	}
	return "", o.unrecognized("compression algorithm", text)
}

func (o option) requires(what string) error {
	return protocol.Errorf(protocol.CodeSyntaxError, "%s requires %s", o.name, what)
}

func (o option) unrecognized(what, text string) error {
	return protocol.Errorf(protocol.CodeSyntaxError, "unrecognized %s: \"%s\"", what, protocol.Shorten(text, maxQuoted))
}
