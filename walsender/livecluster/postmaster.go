package livecluster

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// postmaster is what postmaster.pid tells of the server that runs on a data directory
// (miscadmin.h).
type postmaster struct {
	pid     int
	started string // as it is written: no clock here is compared with it
}

// readPostmaster reads the file of the data directory that is open. 57P03 says that no
// server runs there.
func (c *Cluster) readPostmaster() (postmaster, error) {
	text, err := c.ReadFile("postmaster.pid")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return postmaster{}, protocol.Errorf(protocol.CodeCannotConnectNow, "no server runs on the cluster's data directory: it has no postmaster.pid").
			WithHint("Start the server.")
	case err != nil:
		return postmaster{}, fmt.Errorf("could not read postmaster.pid: %w", err)
	}
	p, err := parsePostmaster(string(text))
	if err != nil {
		// A server that starts writes the file bit by bit.
		return postmaster{}, protocol.Errorf(protocol.CodeCannotConnectNow, "the server on this data directory is starting up, or postmaster.pid is damaged: %v", err)
	}
	return p, nil
}

func parsePostmaster(text string) (postmaster, error) {
	lines := strings.Split(text, "\n") // pid, data directory, start time, port, ...
	if len(lines) < 5 {
		return postmaster{}, fmt.Errorf("it has only %d lines", len(lines)-1)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	return postmaster{pid: pid, started: strings.TrimSpace(lines[2])}, err
}
