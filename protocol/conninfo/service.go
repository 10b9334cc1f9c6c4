package conninfo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxServiceLine is the first length of a line, in bytes without its end, that libpq
// does not take.
const maxServiceLine = 1022

// systemServiceDir is where libpq looks for the service file of all users unless
// PGSYSCONFDIR says otherwise, as Debian builds it.
const systemServiceDir = "/etc/postgresql-common"

// readService is what the service files say about a service: the user's, or the
// system's where the user's does not name it (fe-connect.c, parseServiceInfo).
func readService(service string) (map[string]string, error) {
	user, named := os.LookupEnv("PGSERVICEFILE")
	if !named {
		user = inHome(".pg_service.conf")
	}
	dir, found := os.LookupEnv("PGSYSCONFDIR")
	if !found {
		dir = systemServiceDir
	}
	for _, file := range []struct {
		name     string
		required bool
	}{{user, named}, {filepath.Join(dir, "pg_service.conf"), false}} {
		if _, err := os.Stat(file.name); err != nil && !file.required {
			continue
		}
		set, found, err := readServiceFile(file.name, service)
		if found || err != nil {
			return set, err
		}
	}
	return nil, fmt.Errorf("definition of service %q not found", service)
}

func readServiceFile(name, service string) (set map[string]string, found bool, err error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, fmt.Errorf("service file %q not found", name)
	} else if err != nil {
		return nil, false, fmt.Errorf("could not open service file %q: %w", name, errors.Unwrap(err))
	}
	defer f.Close()
	set, line, err := scanService(f, service)
	if err != nil {
		return nil, false, fmt.Errorf("service file %q, line %d: %w", name, line, err)
	}
	return set, set != nil, nil
}

// scanService reads the section of a service, which ends where the next begins. What
// is in other sections does not matter. The set is nil where there is none; line is
// the one that an error is about.
func scanService(r io.Reader, service string) (set map[string]string, line int, err error) {
	lines := bufio.NewReaderSize(r, maxServiceLine+1)
	for {
		line++
		raw, err := lines.ReadSlice('\n')
		switch {
		case len(strings.TrimSuffix(string(raw), "\n")) >= maxServiceLine || errors.Is(err, bufio.ErrBufferFull):
			return nil, line, errors.New("line too long")
		case err != nil && !errors.Is(err, io.EOF):
			return nil, line, err
		}
		text, _, _ := strings.Cut(string(raw), "\x00") // a string of C ends there
		text = strings.Trim(text, blanks)
		switch header, isHeader := strings.CutPrefix(text, "["); {
		case text == "" || text[0] == '#':
		case isHeader && set != nil:
			return set, line, nil
		case isHeader:
			if strings.HasPrefix(header, service+"]") {
				set = map[string]string{}
			}
		case set != nil:
			if err := storeService(set, text); err != nil {
				return nil, line, err
			}
		}
		if err != nil {
			return set, line, nil
		}
	}
}

// storeService keeps a line of a service's section. Of a keyword that comes twice the
// first value counts.
func storeService(set map[string]string, text string) error {
	name, value, found := strings.Cut(text, "=")
	switch {
	case strings.HasPrefix(text, "ldap"):
		return errors.New("LDAP is not supported")
	case !found:
		return errors.New(`syntax error: missing "="`)
	case name == "service":
		return errors.New("nested service specifications are not supported")
	case find(name) == nil:
		return fmt.Errorf("invalid connection option %q", name)
	}
	if _, twice := set[name]; !twice {
		set[name] = value
	}
	return nil
}

// inHome is a file in the user's home directory, empty if nobody knows where that is.
func inHome(name string) string {
	home, err := homeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, name)
}
