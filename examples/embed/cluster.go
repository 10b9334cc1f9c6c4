package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strconv"

	"github.com/pgparallel/pgparallel/protocol"
)

// Directory tells one archived cluster from another.
func (a *archive) Directory() string { return fmt.Sprintf("archive:%d", a.control.SystemID) }

// Identify answers IDENTIFY_SYSTEM.
func (a *archive) Identify(context.Context) (protocol.System, error) {
	return protocol.System{SystemID: a.control.SystemID, Timeline: a.control.Timeline, XLogPos: a.control.Checkpoint}, nil
}

// Settings is what SHOW tells.
func (a *archive) Settings(context.Context) (protocol.Settings, error) {
	return protocol.Settings{
		ServerVersion:     strconv.Itoa(a.major),
		ServerVersionNum:  a.major * 10000,
		WALSegmentSize:    int64(a.control.WALSegmentSize),
		BlockSize:         int(a.control.BlockSize),
		DataChecksums:     a.control.DataChecksumVersion == 1,
		DataDirectoryMode: 0o700,
	}, nil
}

// InRecovery is false: a standby is refused at the start.
func (a *archive) InRecovery(context.Context) (bool, error) { return false, nil }

// StartBackup has nothing to do, and no label to give: the copy starts like the
// original, from the checkpoint that it was stopped with.
func (a *archive) StartBackup(context.Context, protocol.BackupRequest) (protocol.StartPoint, protocol.RunningBackup, error) {
	start := protocol.StartPoint{StartPtr: a.control.Redo, Timeline: a.control.Timeline}
	return start, archiveBackup{start}, nil
}

// archiveBackup is a backup that runs.
type archiveBackup struct{ start protocol.StartPoint }

// Stop names no end of the WAL: all that is there from the start on is needed.
func (b archiveBackup) Stop(context.Context, bool, protocol.NoticeFunc) (protocol.BackupStop, error) {
	return protocol.BackupStop{StartPtr: b.start.StartPtr, Timeline: b.start.Timeline, StopTimeline: b.start.Timeline}, nil
}

// Abort has nothing to undo.
func (b archiveBackup) Abort() {}

// Lost is nil: an archive cannot lose a backup.
func (b archiveBackup) Lost() <-chan *protocol.BackupLostError { return nil }

// Tablespaces is the data directory alone.
func (a *archive) Tablespaces(_ context.Context, sizes bool) ([]protocol.Tablespace, error) {
	dataDirectory := protocol.Tablespace{Size: -1}
	if sizes {
		dataDirectory.Size = 0
		for _, f := range a.rows {
			dataDirectory.Size += f.Size
		}
		dataDirectory.Size /= 1024
	}
	return []protocol.Tablespace{dataDirectory}, nil
}

// Files lists the data directory.
func (a *archive) Files(_ context.Context, tablespace string, _ protocol.NoticeFunc) iter.Seq2[protocol.File, error] {
	return func(yield func(protocol.File, error) bool) {
		if tablespace != "" {
			yield(protocol.File{}, protocol.Errorf(protocol.CodeUndefinedObject, `tablespace "%s" does not exist`, tablespace))
			return
		}
		for _, f := range a.rows {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// Open opens what one of the lists shows, and nothing else.
func (a *archive) Open(_ context.Context, name string, _ protocol.OpenOptions) (fs.File, error) {
	switch a.types[name] {
	case protocol.TypeFile:
		return a.files.Open(name)
	case protocol.TypeDirectory:
		return nil, protocol.Errorf(protocol.CodeWrongObjectType, `"%s" is a directory`, name)
	}
	if _, err := fs.Stat(a.files, name); errors.Is(err, fs.ErrNotExist) && !leftOut(name) {
		return nil, protocol.Errorf(protocol.CodeUndefinedFile, `could not open file "%s": No such file or directory`, name)
	}
	return nil, protocol.Errorf(protocol.CodeInsufficientPrivilege, `"%s" is not part of a backup`, name)
}
