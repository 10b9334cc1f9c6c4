package main

import (
	"path/filepath"
	"strings"
)

// tablespaceMapping is a value of -T.
type tablespaceMapping struct{ old, new string }

// UnmarshalText reads OLDDIR=NEWDIR, where an equals sign that belongs to a name is
// written \=, as pg_basebackup's tablespace_list_append does.
func (m *tablespaceMapping) UnmarshalText(text []byte) error {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '=':
			part.WriteByte('=')
			i++
		case text[i] == '=':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(text[i])
		}
	}
	parts = append(parts, part.String())
	if len(parts) > 2 {
		return usagef(`multiple "=" signs in tablespace mapping`)
	}
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return usagef("invalid tablespace mapping format %q, must be \"OLDDIR=NEWDIR\"", text)
	}
	m.old, m.new = parts[0], parts[1]
	if !filepath.IsAbs(m.old) {
		return usagef("old directory is not an absolute path in tablespace mapping: %s", m.old)
	}
	if !filepath.IsAbs(m.new) {
		return usagef("new directory is not an absolute path in tablespace mapping: %s", m.new)
	}
	m.old = filepath.Clean(m.old)
	return nil
}

// tablespaceMap is the mappings as the client takes them.
func tablespaceMap(mappings []tablespaceMapping) (map[string]string, error) {
	directories := make(map[string]string, len(mappings))
	for _, m := range mappings {
		if other, twice := directories[m.old]; twice && other != m.new {
			return nil, usagef("tablespace %q is mapped to %q and to %q", m.old, other, m.new)
		}
		directories[m.old] = m.new
	}
	return directories, nil
}
