package grammar

import (
	"strings"
	"testing"

	"github.com/alecthomas/participle/v2/lexer"
	"github.com/google/go-cmp/cmp"
)

func TestLexer(t *testing.T) {
	type token struct {
		Type     lexer.TokenType
		Value    string
		Position int
	}
	tests := []struct {
		text string
		want []token
	}{
		{"", []token{{lexer.EOF, "", 1}}},
		{" \n", []token{{lexer.EOF, "", 3}}},
		{"a1_$ Zé", []token{{tokenWord, "a1_$", 1}, {tokenName, "Zé", 6}, {lexer.EOF, "", 8}}},
		{"1a$b", []token{{tokenInteger, "1", 1}, {tokenWord, "a$b", 2}, {lexer.EOF, "", 5}}},
		{"'ä'''x", []token{{tokenString, "'ä'''", 1}, {tokenWord, "x", 6}, {lexer.EOF, "", 7}}},
		{`'""'"''"`, []token{{tokenString, `'""'`, 1}, {tokenName, `"''"`, 5}, {lexer.EOF, "", 9}}},
		{"'\xff\xc3'(", []token{{tokenString, "'\xff\xc3'", 1}, {tokenCharacter, "(", 5}, {lexer.EOF, "", 6}}},
		{"$ ''''", []token{{tokenCharacter, "$", 1}, {tokenString, "''''", 3}, {lexer.EOF, "", 7}}},
		{"('''", []token{{tokenCharacter, "(", 1}, {tokenUnterminated, "'''", 2}, {lexer.EOF, "", 5}}},
	}
	for _, test := range tests {
		lex, err := definition{}.Lex("", strings.NewReader(test.text))
		if err != nil {
			t.Fatal(err)
		}
		lexed, err := lexer.ConsumeAll(lex)
		if err != nil {
			t.Fatal(err)
		}
		var got []token
		for _, l := range lexed {
			got = append(got, token{l.Type, l.Value, l.Pos.Column})
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
}

// A text cannot make the parser hold more tokens than a command may have (§2.4).
func TestLexer_2_4_Excess(t *testing.T) {
	text := strings.Repeat("(", MaxCommandLength)
	lexed, err := parser().Lex("", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(lexed) != 3 || lexed[1].Type != tokenExcess || lexed[1].Pos.Column != MaxTokens+1 {
		t.Errorf("got %#v", lexed)
	}
}
