package walrecord

// Join appends a run that begins where r ends. r must be the one that holds the first
// record, or what has been joined to it. Its error is that of Err. next is of no use
// afterwards.
func (r *Run) Join(next *Run) error {
	switch {
	case r.err != nil:
		return r.err
	case next.begin != r.at:
		r.fail(r.at, "what follows it begins at %v", next.begin)
		return r.err
	case r.order != next.order || r.blockSize != next.blockSize:
		r.err = next.err
		r.fail(next.begin, "the pages are of another kind")
		return r.err
	}
	if r.joinRecord(next) {
		r.joinRecords(next)
	}
	if r.err == nil {
		r.err = next.err
	}
	r.at, r.resume, r.pageEnd = next.at, next.resume, next.pageEnd
	r.header, r.headerRead = next.header, next.headerRead
	return r.err
}

// joinRecord completes the record that lies across the border. It reports false where
// the next run has nothing to go on with.
func (r *Run) joinRecord(next *Run) bool {
	head := &next.head
	switch {
	case r.current == nil && head.total > 0:
		r.fail(next.begin, "the page continues a record that there is not")
		return false
	case r.current == nil:
		return true
	case head.total == 0 && next.overwrites:
		r.giveUp()
		return true
	case head.total != r.tail.total-r.tail.got:
		r.fail(next.begin, "the page does not continue the record before it")
		return false
	}
	r.tail.join(head)
	switch {
	case next.current == head: // there is still more of it
		return false
	case head.got < head.total:
		r.giveUp()
		return true
	}
	r.current = nil
	r.completePiece(next.headEnd)
	return r.err == nil
}

// joinRecords takes over the records of the next run.
func (r *Run) joinRecords(next *Run) {
	if next.First.Start != 0 {
		if !r.follows(&next.First) {
			return
		}
		r.last, r.end, r.overwritten = next.last, next.end, 0
		if r.First.Start == 0 {
			r.First = next.First
		}
	}
	if next.overwritten != 0 {
		r.overwritten = next.overwritten
	}
	if next.Checkpoint.Start != 0 {
		r.Checkpoint = next.Checkpoint
	}
	if next.BackupEnd.Start != 0 {
		r.BackupEnd = next.BackupEnd
	}
	r.Directories.join(next.Directories)
	r.tail = next.tail
	if next.current == &next.tail {
		r.current = &r.tail
	}
}
