package sharedstate

import (
	"crypto/rand"
	"encoding/hex"
)

// newID makes the id of a backup (§3.2): 128 bits that nobody can guess, as 32
// lower-case hexadecimal characters. Whoever knows it can read the cluster.
func newID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	return hex.EncodeToString(id[:])
}
