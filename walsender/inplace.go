package walsender

// inPlaceMin is from what size on a frame is sent from where it lies in the page cache, in
// bytes. Smaller ones gather, so that they share writes.
const inPlaceMin = outputSize/2 + 1

// writeFrame sends the bytes [from, to) of the frame buffer, the last n bytes of which were
// read just now, as a frame.
//
// Verified pages go over a plain Unix socket by sendfile(2): the socket's queue then refers
// to the page cache, and one copy of four is saved. That is 12 % of the CPU time of both ends.
// Over TCP the client pays what the server saves (the ratio is 1.0), and TLS needs the bytes.
//
// What is sent is what lies in the page cache when the peer takes it, and that may be newer
// than what was verified. It does no harm, because pages of relations alone are sent so:
//
//   - Of a running cluster, a page that was written after the start of the backup is
//     restored by replay from its image in the WAL, whatever the copy has of it. The buffer
//     can have half of such a page just as well.
//   - Of a stopped cluster, nothing is written, and the backup fails where a server starts.
//
// WAL, whose segments are recycled, the control file and configuration are always sent from
// the buffer. So are pages of which one did not verify at the first look, for what was looked
// at then is what the verdict is about.
//
// A file that is truncated behind the frame's header leaves bytes to be sent: they go out
// from the buffer, as the whole frame would have gone.
func (s *session) writeFrame(t *transfer, from, to, n int) error {
	conn := s.unixConn()
	file, ok := t.file.(InPlaceFile)
	if !ok || conn == nil || to-from < inPlaceMin {
		return s.frames.WriteFrame(from, to)
	}
	fd, offset, ok := file.InPlace(n)
	if !ok {
		return s.frames.WriteFrame(from, to)
	}
	message := s.frames.Frame(from, to)
	header := len(message) - (to - from)
	if _, err := s.out.Write(message[:header]); err != nil {
		return err
	}
	if err := s.out.flush(); err != nil {
		return err
	}
	sent, err := s.stall.SendInPlace(conn, fd, offset+int64(from), to-from)
	s.out.said += int64(sent)
	if err != nil {
		return lostError{err}
	}
	_, err = s.out.Write(message[header+sent:])
	return err
}
