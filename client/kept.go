package client

import (
	"fmt"
	"sync"
)

// kept counts the files that an earlier backup had.
type kept struct {
	mu      sync.Mutex
	files   int64 // that were kept as they were
	bytes   int64 // that were kept, in these and in others
	patched int64 // files of which parts were kept
	fetched int64 // bytes of the other parts
}

// add counts a file.
func (k *kept) add(size, fetched int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if fetched == 0 {
		k.files++
	} else {
		k.patched++
	}
	k.bytes += size - fetched
	k.fetched += fetched
}

// text says it for the user, and is empty where there was nothing. Sizes are in kB, as progress
// has them.
func (k *kept) text(removed int64) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.files+k.patched+removed == 0 {
		return ""
	}
	return fmt.Sprintf("files: %d kept, %d kept in parts (together %d kB kept, %d kB fetched), %d removed",
		k.files, k.patched, k.bytes/1024, k.fetched/1024, removed)
}
