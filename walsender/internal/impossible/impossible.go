// Package impossible checks what the methods of a Cluster return for what no cluster has: it is
// found in the server, by the method's name, and not by a client that can only wonder.
package impossible

import (
	"errors"
	"fmt"

	"github.com/pgparallel/pgparallel/protocol"
)

// Error is err as one about what the method has returned; nil for nil.
func Error(method string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the Cluster's method %s has returned what no cluster has: %w", method, err)
}

// File checks a row of a listing that the method has returned, but for its path: that is for
// the client to distrust (§5.9), and tests of clients serve hostile ones.
func File(method string, f protocol.File) error { return Error(method, checkFile(f)) }

func checkFile(f protocol.File) error {
	switch {
	case f.Type != protocol.TypeFile && f.Type != protocol.TypeDirectory && f.Type != protocol.TypeLink:
		return fmt.Errorf("type %q of %q", f.Type, protocol.Shorten(f.Path, 256))
	case f.Size < 0:
		return fmt.Errorf("size %d of %q", f.Size, protocol.Shorten(f.Path, 256))
	}
	return nil
}

// Tablespaces checks the rows of LIST_TABLESPACES, the data directory last (§4.4).
func Tablespaces(list []protocol.Tablespace) error {
	return Error("Tablespaces", checkTablespaces(list))
}

func checkTablespaces(list []protocol.Tablespace) error {
	if len(list) == 0 || list[len(list)-1].OID != 0 {
		return errors.New("a list that does not end with the data directory")
	}
	seen := map[uint32]bool{}
	for i, t := range list {
		switch {
		case seen[t.OID]:
			return fmt.Errorf("tablespace %d twice", t.OID)
		case t.OID != 0 && t.Location == "":
			return fmt.Errorf("tablespace %d without a location", t.OID)
		case t.OID == 0 && t.Location != "":
			return fmt.Errorf("location %q of the data directory", protocol.Shorten(t.Location, 256))
		case t.OID == 0 && i != len(list)-1:
			return errors.New("the data directory before the last row")
		case t.Size < -1:
			return fmt.Errorf("size %d of tablespace %d", t.Size, t.OID)
		}
		seen[t.OID] = true
	}
	return nil
}

// System checks the answer to IDENTIFY_SYSTEM.
func System(s protocol.System) error { return Error("Identify", checkSystem(s)) }

func checkSystem(s protocol.System) error {
	if s.Timeline == 0 {
		return errors.New("timeline 0")
	}
	return nil
}

// Start checks where a backup starts.
func Start(p protocol.StartPoint) error { return Error("StartBackup", checkStart(p)) }

func checkStart(p protocol.StartPoint) error {
	if p.Timeline == 0 || p.StartPtr == 0 {
		return fmt.Errorf("start point %v on timeline %d", p.StartPtr, p.Timeline)
	}
	return nil
}

// Settings checks what becomes parameters and answers to SHOW.
func Settings(s protocol.Settings) error { return Error("Settings", checkSettings(s)) }

func checkSettings(s protocol.Settings) error {
	size, _ := s.Show("wal_segment_size")
	if _, err := protocol.ParseWALSegmentSize(size); err != nil {
		return err
	}
	mode, _ := s.Show("data_directory_mode")
	if _, err := protocol.ParseDataDirectoryMode(mode); err != nil {
		return err
	}
	if s.ServerVersion == "" || s.ServerVersionNum < 1 {
		return fmt.Errorf("server_version %q, server_version_num %d", s.ServerVersion, s.ServerVersionNum)
	}
	return nil
}
