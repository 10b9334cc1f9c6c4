//go:build !linux

package client

// listingMemory is what the lists of a server may take.
func listingMemory() int64 { return defaultListingMemory }
