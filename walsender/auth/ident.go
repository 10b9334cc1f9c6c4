package auth

import (
	"regexp"
	"strings"
)

// identMaps are the maps of a file in the grammar of pg_ident.conf, by their names.
type identMaps map[string][]identLine

// identLine says that who has proved to be the one may be the other.
type identLine struct {
	system     string         // the name that was proved, unless
	expression *regexp.Regexp // it has to fit this
	role       userPattern
	replace    bool // the role's name holds \1, which stands for a part of the other
}

// parseIdent reads a file of maps: lines of map, system user and role.
func parseIdent(text []byte, users *userList, wrong *problems) identMaps {
	maps := identMaps{}
	p := &hbaParser{users: users, wrong: wrong}
	for _, l := range splitLines(text, wrong) {
		p.now = l.number
		before := len(wrong.list)
		if len(l.fields) != 3 || len(l.fields[0])+len(l.fields[1])+len(l.fields[2]) != 3 {
			p.errorf("a line of a map is: map, system user, role")
			continue
		}
		name, system, role := l.fields[0][0].text, l.fields[1][0], l.fields[2][0]
		i := identLine{system: system.text}
		if text, is := system.expression(); is {
			expression, err := regexp.Compile(text)
			if err != nil {
				p.errorf("invalid regular expression %q: %v", text, err)
				continue
			}
			i.expression = expression
			i.replace = strings.Contains(role.text, `\1`)
			if i.replace && expression.NumSubexp() < 1 {
				p.errorf(`regular expression %q has no subexpressions as requested by backreference in %q`, text, role.text)
			}
		}
		if i.replace {
			i.role = userPattern{name: role.text}
		} else {
			i.role, _ = p.userPattern(role)
		}
		if len(wrong.list) == before {
			maps[name] = append(maps[name], i)
		}
	}
	return maps
}

// allows reports whether who has proved to be identity may be the role. Without a
// map, the names have to be the same.
func (m identMaps) allows(usermap, identity, role string, users *userList) bool {
	if usermap == "" {
		return identity == role
	}
	for _, l := range m[usermap] {
		if l.expression == nil {
			if l.system == identity && l.role.matches(role, users) {
				return true
			}
			continue
		}
		match := l.expression.FindStringSubmatch(identity)
		if match == nil {
			continue
		}
		pattern := l.role
		if l.replace {
			pattern.name = strings.Replace(pattern.name, `\1`, match[1], 1)
		}
		if pattern.matches(role, users) {
			return true
		}
	}
	return false
}
