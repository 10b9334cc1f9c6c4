package livecluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// postmaster is what postmaster.pid tells of the server that runs on a data directory
// (miscadmin.h).
type postmaster struct {
	pid     int
	started int64 // Unix seconds
	port    int
}

// readPostmaster reads the file of the data directory. 57P03 says that no server
// runs there.
func readPostmaster(dir string) (postmaster, error) {
	text, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return postmaster{}, protocol.Errorf(codeCannotConnectNow, "no server runs on the cluster's data directory: it has no postmaster.pid").
			WithHint("Start the server.")
	case err != nil:
		return postmaster{}, fmt.Errorf("could not read postmaster.pid: %w", err)
	}
	p, err := parsePostmaster(string(text))
	if err != nil {
		// A server that starts writes the file bit by bit.
		return postmaster{}, protocol.Errorf(codeCannotConnectNow, "the server on this data directory is starting up, or postmaster.pid is damaged: %v", err)
	}
	return p, nil
}

func parsePostmaster(text string) (postmaster, error) {
	lines := strings.Split(text, "\n") // pid, data directory, start time, port, ...
	if len(lines) < 5 {
		return postmaster{}, fmt.Errorf("it has only %d lines", len(lines)-1)
	}
	var p postmaster
	var err [3]error
	p.pid, err[0] = strconv.Atoi(strings.TrimSpace(lines[0]))
	p.started, err[1] = strconv.ParseInt(strings.TrimSpace(lines[2]), 10, 64)
	p.port, err[2] = strconv.Atoi(strings.TrimSpace(lines[3]))
	return p, errors.Join(err[:]...)
}
