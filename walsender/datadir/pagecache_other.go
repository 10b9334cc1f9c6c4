//go:build !linux

package datadir

// cacheTrace is for Linux: elsewhere nobody tells what of a file is in the page cache.
type cacheTrace struct{}

func traceCache(int, int64) *cacheTrace { return nil }

func (*cacheTrace) behind(int64) {}

func (*cacheTrace) drop(int64) {}
