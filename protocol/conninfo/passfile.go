package conninfo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// defaultHost is what a password file calls the default socket directory.
const defaultHost = "localhost"

// MissingPasswords names the password file, and for each server that there is no password
// for what the file was searched for: HOST:PORT:DATABASE:USER, escaped as in the file.
func (i *Info) MissingPasswords() (file string, entries []string) {
	for _, s := range i.servers {
		if s.password != "" {
			continue
		}
		fields := []string{s.passwordHost(), s.portText, i.text("dbname"), i.text("user")}
		for k := range fields {
			fields[k] = strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(fields[k])
		}
		entries = append(entries, strings.Join(fields, ":"))
	}
	return i.text("passfile"), entries
}

// readPasswordFile is the password for a connection (fe-connect.c, passwordFromFile).
// A file that cannot be opened holds none. One that others can read or write is
// ignored, which is what the warning says.
func readPasswordFile(name, host, port, database, user string) (password, warning string) {
	info, err := os.Stat(name)
	switch {
	case err != nil || database == "" || user == "":
		return "", ""
	case !info.Mode().IsRegular():
		return "", fmt.Sprintf("password file %q is not a plain file", name)
	case info.Mode().Perm()&0o077 != 0:
		return "", fmt.Sprintf("password file %q has group or world access; permissions should be u=rw (0600) or less", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", ""
	}
	defer f.Close()
	password, err = findPassword(f, host, port, database, user)
	if err != nil {
		return "", fmt.Sprintf("could not read password file %q: %v", name, err)
	}
	return password, ""
}

// findPassword is the password of the first line that is for all of fields.
func findPassword(r io.Reader, fields ...string) (string, error) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		line, _, _ = strings.Cut(line, "\x00") // a string of C ends there
		line = strings.TrimRight(line, "\r\n")
		if password, found := matchLine(line, fields); found && !strings.HasPrefix(line, "#") {
			return unescapePassword(password), nil
		}
		if err != nil {
			return "", nil
		}
	}
}

func matchLine(line string, fields []string) (rest string, matches bool) {
	for _, field := range fields {
		if line, matches = matchField(line, field); !matches {
			return "", false
		}
	}
	return line, true
}

// matchField takes a field off the begin of a line, with the colon behind it, if it
// is an asterisk or stands for the value. A backslash takes the next character for
// itself; it may be one that needed none.
func matchField(line, value string) (rest string, matches bool) {
	if rest, any := strings.CutPrefix(line, "*:"); any {
		return rest, true
	}
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line):
			i++
		case line[i] == ':' && value == "":
			return line[i+1:], true
		}
		if value == "" || line[i] != value[0] {
			return "", false
		}
		value = value[1:]
	}
	return "", false
}

// unescapePassword reads a password up to the next colon, behind which libpq takes
// nothing.
func unescapePassword(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && s[i] != ':'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
