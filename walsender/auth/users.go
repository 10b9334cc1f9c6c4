package auth

import (
	"fmt"
	"slices"
	"strings"
)

// account is a line of the users file.
type account struct {
	verifier *Verifier // nil: no password lets it in
	groups   []string
}

// userList is what a users file says.
type userList struct {
	byName map[string]account
	first  *Verifier // of the file's first user that has one
}

func (l *userList) hasGroup(group string) bool {
	for _, u := range l.byName {
		if slices.Contains(u.groups, group) {
			return true
		}
	}
	return false
}

func (l *userList) isMember(name, group string) bool {
	return slices.Contains(l.byName[name].groups, group)
}

// parseUsers reads a users file: a line "name" "verifier" a user, as pgbouncer's
// userlist.txt, and behind that the groups which the user is in.
func parseUsers(text []byte, wrong *problems) *userList {
	list := &userList{byName: map[string]account{}}
	for i, l := range strings.Split(string(text), "\n") {
		number := i + 1
		words, err := userWords(strings.TrimRight(l, "\r"))
		if err != nil {
			wrong.add(number, "%v", err)
			continue
		}
		if len(words) == 0 {
			continue
		}
		if _, twice := list.byName[words[0]]; twice {
			wrong.add(number, "user %q is there twice", words[0])
			continue
		}
		u := account{groups: words[2:]}
		if words[1] != "" {
			verifier, err := ParseVerifier(words[1])
			if err != nil {
				wrong.add(number, "%v; \"pgparallel passwd %s\" makes a line that fits", err, words[0])
				continue
			}
			u.verifier = &verifier
			if list.first == nil {
				list.first = u.verifier
			}
		}
		list.byName[words[0]] = u
	}
	return list
}

// userWords are the words of a line: two in quotes at least, or none.
func userWords(text string) ([]string, error) {
	var words []string
	for {
		text = strings.TrimLeft(text, " \t,")
		if text == "" || text[0] == ';' || text[0] == '#' {
			break
		}
		word, rest, err := userWord(text, len(words) < 2)
		if err != nil {
			return nil, err
		}
		words, text = append(words, word), rest
	}
	switch {
	case len(words) == 1:
		return nil, fmt.Errorf("a line is \"name\" \"verifier\", and the groups of the user behind it")
	case len(words) > 0 && words[0] == "":
		return nil, fmt.Errorf("a user must have a name")
	}
	return words, nil
}

// userWord is the first word of the text, in which two quotes stand for one.
func userWord(text string, mustQuote bool) (word, rest string, err error) {
	if text[0] != '"' {
		if mustQuote {
			return "", "", fmt.Errorf("name and verifier must be in double quotes")
		}
		end := strings.IndexAny(text, " \t,;#\"")
		if end < 0 {
			end = len(text)
		}
		if end == 0 {
			return "", "", fmt.Errorf("misplaced quote")
		}
		return text[:end], text[end:], nil
	}
	for text = text[1:]; ; {
		before, after, found := strings.Cut(text, `"`)
		if !found {
			return "", "", fmt.Errorf("unterminated quoted string")
		}
		word += before
		if !strings.HasPrefix(after, `"`) {
			return word, after, nil
		}
		word, text = word+`"`, after[1:]
	}
}

// UserLine is the line of a users file for a user. It holds a secret: whoever has the
// verifier can try passwords against it, and pose as the server.
func UserLine(name string, v Verifier, groups ...string) string {
	words := []string{quoteWord(name), quoteWord(v.String())}
	for _, g := range groups {
		words = append(words, quoteWord(g))
	}
	return strings.Join(words, " ")
}

func quoteWord(word string) string { return `"` + strings.ReplaceAll(word, `"`, `""`) + `"` }
