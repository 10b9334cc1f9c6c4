package clientkit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// canWatch reports whether the order can be seen in which names appear.
const canWatch = true

// watch sees in which order names appear in the target (inotify).
type watch struct {
	fd       int
	stop     chan struct{}
	once     sync.Once // closes stop
	done     sync.WaitGroup
	released chan struct{} // closed when pg_control has its name

	mu      sync.Mutex
	folders map[int32]string // by watch descriptor
	seen    []appearance
	said    bool // released is closed
	err     error
}

// newWatch begins a watch of nothing. Its goroutine ends with end.
func newWatch() (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watching the target: %w", err)
	}
	w := &watch{fd: fd, stop: make(chan struct{}), released: make(chan struct{}), folders: map[int32]string{}}
	w.done.Go(w.follow)
	return w, nil
}

// arm begins to look at a target. What is there already appeared before all else.
func (w *watch) arm(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, folder := range watchedFolders() {
		place := filepath.Join(dir, folder)
		id, err := unix.InotifyAddWatch(w.fd, place, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return fmt.Errorf("watching %q: %w", place, err)
		}
		w.folders[int32(id)] = folder
		entries, err := os.ReadDir(place)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			w.appeared(appearance{watchedPath(folder, entry.Name()), true})
		}
	}
	return nil
}

// appeared notes what happened. The caller holds the lock.
func (w *watch) appeared(a appearance) {
	w.seen = append(w.seen, a)
	if a.path == controlFile && !w.said {
		w.said = true
		close(w.released)
	}
}

// follow reads what happens until the watch ends, and then what is left of it.
func (w *watch) follow() {
	buffer := make([]byte, 64<<10)
	for last := false; ; {
		n, err := unix.Read(w.fd, buffer)
		switch {
		case err == nil:
			w.read(buffer[:n])
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EAGAIN):
			w.fail(err)
			return
		case last:
			return
		default:
			last = w.pause()
		}
	}
}

// pause waits for something to happen, and reports whether the watch has ended.
func (w *watch) pause() bool {
	select {
	case <-w.stop:
		return true
	default:
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}, 5) // milliseconds; the next read tells
		return false
	}
}

// read takes the events of a buffer (inotify(7)).
func (w *watch) read(events []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(events) >= unix.SizeofInotifyEvent {
		id := int32(binary.NativeEndian.Uint32(events))
		mask := binary.NativeEndian.Uint32(events[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(events[12:]))
		name := string(bytes.TrimRight(events[unix.SizeofInotifyEvent:end], "\x00"))
		events = events[end:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			w.err = errors.New("watching the target: more happened than could be followed")
		}
		if folder, known := w.folders[id]; known && name != "" {
			w.appeared(appearance{watchedPath(folder, name), mask&(unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE) != 0})
		}
	}
}

func (w *watch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = fmt.Errorf("watching the target: %w", err)
}

// end ends the watch, and returns all that happened. It may be called again.
func (w *watch) end() ([]appearance, error) {
	w.once.Do(func() {
		close(w.stop)
		w.done.Wait()
		_ = unix.Close(w.fd) // nothing was written
	})
	return w.seen, w.err
}
