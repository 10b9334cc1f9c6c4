package archive

import (
	"fmt"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// parseTablespaceMap reads tablespace_map as the server does that starts from the backup
// (read_tablespace_map in xlogrecovery.c): a line a tablespace, its OID and its location. A
// backslash stands before an end of a line that belongs to a location.
func parseTablespaceMap(text string) (map[string]string, error) {
	locations := map[string]string{}
	var line strings.Builder
	escaped := false
	for i := range len(text) {
		switch c := text[i]; {
		case !escaped && (c == '\n' || c == '\r'):
			if err := addLocation(locations, line.String()); err != nil {
				return nil, err
			}
			line.Reset()
		case !escaped && c == '\\':
			escaped = true
			continue
		default:
			line.WriteByte(c)
		}
		escaped = false
	}
	if line.Len() > 0 || escaped {
		return nil, fmt.Errorf("invalid data in file %q", mapFile)
	}
	return locations, nil
}

func addLocation(locations map[string]string, line string) error {
	if line == "" {
		return nil // between the two characters of an end
	}
	text, location, found := strings.Cut(line, " ")
	_, valid := protocol.ParseOID(text)
	if _, again := locations[text]; !found || !valid || again || !strings.HasPrefix(location, "/") {
		return fmt.Errorf("invalid data in file %q", mapFile)
	}
	locations[text] = location
	return nil
}
