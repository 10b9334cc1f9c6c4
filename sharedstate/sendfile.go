package sharedstate

import "context"

// FileKind says what a SEND_FILE sends, as far as the table cares. WAL files
// are none of its business.
type FileKind int

// The kinds of files.
const (
	DataFile    FileKind = iota // any file of LIST_FILES but the next
	ControlFile                 // global/pg_control, which is sent when nothing else is (§4.8)
)

// BeginFile is called when a SEND_FILE begins. Until end is called the backup
// cannot be stopped. end is called when the peer has the whole answer, or will
// never have it; sent says whether the file counts as sent. Only its first call
// does something, so end(false) may be deferred. It may be called when the backup
// is over.
//
// The error is 55000 when the backup is not [Running], and 55006 for [ControlFile]
// while any other SEND_FILE of the backup is at work, and for [DataFile] while a
// ControlFile is (§4.8).
func (b *Backup) BeginFile(kind FileKind) (end func(sent bool), err error) {
	b.table.mu.Lock()
	defer b.table.mu.Unlock()
	if err := b.checkRunning(); err != nil {
		return nil, err
	}
	switch {
	case kind == ControlFile && b.sending > 0:
		return nil, b.inUse().WithHint("Ask for global/pg_control when every other file has been sent.")
	case b.sendingControl:
		return nil, b.inUse().WithHint("Wait until global/pg_control has been sent, and ask for it again after this file.")
	}
	b.sending++
	b.sendingControl = kind == ControlFile
	// A file that fails counts too: the peer may have a part of it.
	b.controlLast = false
	ended := false
	return func(sent bool) {
		b.table.mu.Lock()
		defer b.table.mu.Unlock()
		if ended {
			return
		}
		ended = true
		b.sending--
		if kind == ControlFile {
			b.sendingControl, b.controlLast = false, sent
		}
		if sent {
			for _, c := range b.counted() {
				c.filesSent.Add(1)
			}
		}
	}, nil
}

// Throttle is called before each frame of a file with the length of its payload.
// It counts the bytes as sent and sleeps while the backup is over its rate, all
// its sessions taken together. Where there is no rate it still looks at ctx and at
// the backup's end.
//
// The error is that of [Backup.Err] when the backup is over, else the cause of ctx
// when ctx is. Then the bytes are not counted and must not be sent.
func (b *Backup) Throttle(ctx context.Context, n int) error {
	return b.wait(ctx, b.done, n)
}

// AddSent counts n bytes of a file as sent that the peer has copied by itself (§8.4).
func (b *Backup) AddSent(n int64) {
	for _, c := range b.counted() {
		c.bytesSent.Add(n)
	}
}

// ThrottleWAL is [Backup.Throttle] for the frames of WAL files, which may be sent
// when the backup is over, at its rate all the same (§3.9). Only ctx ends it.
func (b *Backup) ThrottleWAL(ctx context.Context, n int) error {
	return b.wait(ctx, nil, n)
}

func (b *Backup) wait(ctx context.Context, done <-chan struct{}, n int) error {
	slept, ok := b.throttle.wait(ctx, done, n)
	if slept > 0 {
		for _, c := range b.counted() {
			c.throttled.Add(int64(slept))
		}
	}
	if ok {
		b.AddSent(int64(n))
		return nil
	}
	if done != nil {
		if err := b.Err(); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// FrameSize is the largest payload of a frame that leaves no pause much longer than 1/8 s
// between two frames: what MAX_RATE allows in that time in whole pages of 8192 bytes, at
// least one page, at most limit bytes. Without a rate it is limit.
func (b *Backup) FrameSize(limit int) int { return b.throttle.frameSize(limit) }

// SetRate changes the rate (§8.2). It holds for every frame that Throttle is asked about
// from here on, and for those that wait; kBps is as in [Request].
func (b *Backup) SetRate(kBps int) { b.throttle.change(kBps) }

// Rate is the rate that holds, in kB of 1024 bytes a second, 0 for no limit. changed is
// closed when another rate holds.
func (b *Backup) Rate() (kBps int, changed <-chan struct{}) {
	p := b.throttle.pace.Load()
	return p.kBps, p.over
}

// HasRate reports whether there is a rate now.
func (b *Backup) HasRate() bool { return b.throttle.maxRate() > 0 }
