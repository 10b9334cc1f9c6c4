package client

import "golang.org/x/sys/unix"

// listingMemory is what the lists of a server may take: half of the machine's memory.
func listingMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return defaultListingMemory
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit) / 2)
}
