package walsendertest

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// Vanished has the file listed, but gone whenever it is asked for: 58P01.
func Vanished(path string) Fault {
	return opening(fmt.Sprintf("Vanished(%q)", path), path, func(f *armedFault, open opener) (fs.File, error) {
		f.happens(nil)
		return nil, gone(path)
	})
}

// ShortFile sends the first n bytes of the file only, and ends it properly, as of a file
// that was truncated since it was listed.
func ShortFile(path string, n int64) Fault {
	return opening(fmt.Sprintf("ShortFile(%q, %d)", path, n), path, func(f *armedFault, open opener) (fs.File, error) {
		file, err := open()
		if err != nil {
			return nil, err
		}
		f.happens(nil)
		return shortFile{file, io.LimitReader(file, n)}, nil
	})
}

type shortFile struct {
	fs.File
	in io.Reader
}

// Read implements io.Reader.
func (s shortFile) Read(p []byte) (int, error) { return s.in.Read(p) }

// opener opens the file that a fault is about.
type opener func() (fs.File, error)

// opening is a fault that takes the place of opening the file.
func opening(text, path string, act func(*armedFault, opener) (fs.File, error)) Fault {
	return Fault{text: text, cluster: func(l layer, f *armedFault) walsender.Cluster {
		return otherOpen{l, path, func(open opener) (fs.File, error) { return act(f, open) }}
	}}
}

type otherOpen struct {
	layer
	path string
	act  func(opener) (fs.File, error)
}

// Open is the Cluster's, with the fault.
func (c otherOpen) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	open := func() (fs.File, error) { return c.layer.Open(ctx, name, o) }
	if name != c.path {
		return open()
	}
	return c.act(open)
}

// Promotion promotes the standby when the file is asked for: that file may still be
// sent, every later one is 55000 (§4.6), and so is a long one after a second.
func Promotion(path string) Fault {
	return Fault{text: fmt.Sprintf("Promotion(%q)", path), times: 1, cluster: func(l layer, f *armedFault) walsender.Cluster {
		return &promoted{layer: l, fault: f, path: path}
	}}
}

type promoted struct {
	layer
	fault *armedFault
	path  string
	done  atomic.Bool
}

// Open is the Cluster's, with the fault.
func (p *promoted) Open(ctx context.Context, name string, o protocol.OpenOptions) (fs.File, error) {
	if name == p.path && p.fault.happens(nil) {
		p.done.Store(true)
	}
	return p.layer.Open(ctx, name, o)
}

// InRecovery is the Cluster's, with the fault.
func (p *promoted) InRecovery(ctx context.Context) (bool, error) {
	in, err := p.layer.InRecovery(ctx)
	return in && !p.done.Load(), err
}

// StopFails has STOP_BACKUP fail with the error, before any row.
func StopFails(failure *protocol.Error) Fault {
	return Fault{text: fmt.Sprintf("StopFails(%s)", failure.Code), times: 1, cluster: func(l layer, f *armedFault) walsender.Cluster {
		return stopFails{l, f, failure}
	}}
}

type stopFails struct {
	layer
	fault   *armedFault
	failure *protocol.Error
}

// StopBackup is the Cluster's, with the fault.
func (s stopFails) StopBackup(ctx context.Context, id string, wait bool, notice protocol.NoticeFunc) (protocol.BackupStop, error) {
	if s.fault.happens(nil) {
		s.layer.AbortBackup(id)
		return protocol.BackupStop{}, s.failure
	}
	return s.layer.StopBackup(ctx, id, wait, notice)
}
