package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

const (
	controlFile = "global/pg_control"
	controlHeld = "global/pg_control.incomplete"
)

func (b *backup) copyFiles() error {
	b.lost, b.done = map[string]int{}, map[string]manifest.File{}
	var todo []protocol.File
	for _, f := range b.files {
		if f.Type == protocol.TypeFile && f.Path != controlFile {
			todo = append(todo, f)
		}
	}
	if b.is("label-early") {
		if err := b.write("backup_label", []byte(b.start.Label)); err != nil {
			return err
		}
	}
	if b.is("control-first") || b.is("control-under-its-name") {
		name := controlHeld
		if b.is("control-under-its-name") {
			name = controlFile
		}
		if err := b.receive(b.leader, protocol.File{Path: controlFile}, name); err != nil {
			return err
		}
	}
	if b.is("sends-twice") {
		if err := b.receive(b.leader, todo[0], todo[0].Path); err != nil {
			return err
		}
	}
	return b.copyAll(todo)
}

// queue is what is left to copy.
type queue struct {
	mu   sync.Mutex
	todo []protocol.File
	busy int // files under way
	wake *sync.Cond
	err  error
}

// take is the next file; ok is false when there is none left and none can come back.
func (q *queue) take() (f protocol.File, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.todo) == 0 && q.busy > 0 && q.err == nil {
		q.wake.Wait()
	}
	if len(q.todo) == 0 || q.err != nil {
		return f, false
	}
	f, q.todo = q.todo[0], q.todo[1:]
	q.busy++
	return f, true
}

// left is how many files nobody has taken yet.
func (q *queue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return 0
	}
	return len(q.todo)
}

// copying reports whether files are under way.
func (q *queue) copying() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.busy > 0
}

// done says that a file is no more under way; again, that it has to be sent again.
func (q *queue) done(f protocol.File, again bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	if again {
		q.todo = append(q.todo, f)
	}
	if err != nil && q.err == nil {
		q.err = err
	}
	q.wake.Broadcast()
}

func (b *backup) copyAll(todo []protocol.File) error {
	q := &queue{todo: todo}
	q.wake = sync.NewCond(&q.mu)
	var group sync.WaitGroup
	for i := range b.workers {
		group.Go(func() { b.work(q, i) })
	}
	if b.is("control-while-others-copy") && b.stop.StartPtr == 0 {
		b.early(q)
	}
	group.Wait()
	return q.err
}

// soon is when an answer is there that nothing holds up. Clients that are wrong where
// it takes longer are right where it does not.
const soon = 100 * time.Millisecond

// early asks for pg_control when the last file is under way.
func (b *backup) early(q *queue) {
	for q.left() > 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(soon)
	if !q.copying() {
		return
	}
	b.hasControl = b.receive(b.leader, protocol.File{Path: controlFile}, controlHeld) == nil // else 55006
}

func (b *backup) work(q *queue, i int) {
	for {
		f, ok := q.take()
		if !ok {
			return
		}
		err := b.receive(b.workers[i], f, f.Path)
		again := false
		if isLost(err) {
			again, err = b.replace(f, i, err)
		} else if err != nil {
			err = b.judge(f, err)
		}
		q.done(f, again, err)
	}
}

// replace opens another connection for one that was lost.
func (b *backup) replace(f protocol.File, i int, err error) (again bool, _ error) {
	limit := 3
	switch {
	case b.is("success-after-lost-worker"), b.is("lost-wal-worker-is-success") && strings.HasPrefix(f.Path, "pg_wal/"):
		c, dialing := b.dial()
		b.workers[i] = c
		if strings.HasPrefix(f.Path, "pg_wal/") {
			return false, dialing
		}
		return false, errors.Join(dialing, b.join(c))
	case b.is("never-retries"):
		return false, err
	case b.is("retries-forever"):
		limit = 10
	}
	b.mu.Lock()
	b.lost[f.Path]++
	times := b.lost[f.Path]
	b.mu.Unlock()
	if times > limit {
		return false, err
	}
	if !b.is("goes-on-behind-the-break") {
		os.Remove(b.place(f.Path))
	}
	c, dialing := b.dial()
	if dialing != nil {
		return false, dialing
	}
	b.workers[i] = c
	if strings.HasPrefix(f.Path, "pg_wal/") {
		return true, nil
	}
	return true, b.join(c)
}

// judge is nil for a file that may be missing.
func (b *backup) judge(f protocol.File, err error) error {
	inWAL := strings.HasPrefix(f.Path, "pg_wal/")
	needed := inWAL || slices.Contains([]string{"PG_VERSION", controlFile, "global/pg_filenode.map"}, f.Path)
	gone := code(err) == protocol.CodeUndefinedFile
	switch {
	case b.is("excuses-any-file") && gone && !inWAL:
	case b.is("excuses-any-error") && code(err) != "" && !inWAL:
	case b.is("excuses-missing-wal") && inWAL && code(err) != "":
		return nil
	case b.is("vanished-is-fatal"), !gone, needed:
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.excuse = fmt.Errorf("%s: %w", f.Path, err)
	if b.is("manifest-lists-vanished") {
		b.done[f.Path] = manifest.File{Path: f.Path, ModTime: f.ModTime, Checksum: make([]byte, 4)}
	}
	return nil
}

func (b *backup) copyControl() error {
	if b.is("goes-on-without-control") && !b.listed(controlFile) {
		return nil
	}
	f := protocol.File{Path: controlFile, Size: 8192}
	if b.is("wal-early") {
		if err := b.sendWAL(b.start.StartPtr, b.start.StartPtr+1); err != nil {
			return err
		}
	}
	if b.is("control-first") || b.is("control-under-its-name") || b.hasControl {
		return nil
	}
	if b.is("stop-while-others-copy") {
		asked := make(chan error, 1)
		go func() { asked <- b.receive(b.workers[0], f, controlHeld) }()
		select {
		case err := <-asked:
			return err
		case <-time.After(soon):
		}
		b.stopRows, _ = b.leader.rows("STOP_BACKUP NOWAIT") // 55006, or too early
		return <-asked
	}
	err := b.receive(b.leader, f, controlHeld)
	if code(err) == protocol.CodeObjectInUse && !b.is("excuses-any-error") {
		err = b.receive(b.leader, f, controlHeld)
	}
	if err != nil && !isLost(err) {
		return b.judge(f, err)
	}
	return err
}

// receive gets a file.
func (b *backup) receive(c *conn, f protocol.File, name string) error {
	var out *os.File
	size, whole := int64(0), false
	err := c.query("SEND_FILE ("+b.quote(f.Path)+")"+b.option(c), func(kind byte, body []byte) (err error) {
		switch kind {
		case 'H':
			if b.is("wants-descriptors") && c.descriptors {
				return errors.New("the server has not handed the file over")
			}
			out, err = b.create(name)
		case 'd':
			if b.is("small-frames") && len(body) > 512<<10 {
				return errors.New("message too long")
			}
			if b.is("stops-at-listed-size") && size+int64(len(body)) > f.Size {
				body = body[:max(0, f.Size-size)]
			}
			if b.is("first-frame-only") && size > 0 && !strings.HasPrefix(name, "pg_wal/") {
				return nil
			}
			size += int64(len(body))
			_, err = out.Write(body)
		case 'c':
			whole = true
		}
		return err
	})
	if out != nil {
		err = errors.Join(err, out.Close())
	}
	switch {
	case err != nil && code(err) != "" && whole && b.is("ignores-error-after-copydone"),
		err != nil && code(err) != "" && out != nil && b.is("ignores-error-in-file"),
		isLost(err) && size >= f.Size && out != nil && b.is("eof-is-the-end"):
		if isLost(err) {
			return b.replaceQuietly(c)
		}
	case err != nil:
		if out != nil && !isLost(err) {
			os.Remove(b.place(name))
		}
		return err
	}
	return b.received(f, name, size)
}

// option is what asks for a descriptor of the file.
func (b *backup) option(c *conn) string {
	if b.is("uses-any-extension") || b.is("wants-descriptors") && c.descriptors {
		return " DESCRIPTOR"
	}
	return ""
}

// replaceQuietly puts another connection in the place of one that has ended.
func (b *backup) replaceQuietly(old *conn) error {
	c, err := b.dial()
	if err != nil {
		return err
	}
	for i := range b.workers {
		if b.workers[i] == old {
			b.workers[i] = c
		}
	}
	return b.join(c)
}

func (b *backup) received(f protocol.File, name string, size int64) error {
	if size < f.Size {
		short := fmt.Errorf("%s is short", f.Path)
		switch {
		case strings.HasPrefix(f.Path, "pg_wal/") && !b.is("short-wal"), f.Path == controlFile && !b.is("short-control"), b.is("short-is-fatal"):
			return short
		case !strings.HasPrefix(f.Path, "pg_wal/") && f.Path != controlFile:
			b.mu.Lock()
			b.excuse = short
			b.mu.Unlock()
		}
	}
	entry := manifest.File{Path: f.Path, Size: size, ModTime: f.ModTime}
	content, err := os.ReadFile(b.place(name))
	if err != nil {
		return err
	}
	sum := entry.Algorithm.New()
	sum.Write(content)
	entry.Checksum = sum.Sum(nil)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done[f.Path] = entry
	return nil
}
