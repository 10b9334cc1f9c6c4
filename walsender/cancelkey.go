package walsender

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
)

// lowestProcessID keeps the process ids of sessions above those of real processes
// (§1.3): names built from them, such as pg_basebackup_PID, never meet the
// cluster's own.
const lowestProcessID = 1<<22 + 1

// cancelKey is what BackendKeyData tells a client and CancelRequest gives back.
type cancelKey struct {
	processID uint32
	secret    [4]byte
}

func newCancelKey() cancelKey {
	var random [8]byte
	rand.Read(random[:]) // never fails
	key := cancelKey{processID: lowestProcessID + binary.BigEndian.Uint32(random[:])%(1<<31-lowestProcessID)}
	copy(key.secret[:], random[4:])
	return key
}

// matches compares the secret in constant time.
func (k cancelKey) matches(secret []byte) bool {
	return subtle.ConstantTimeCompare(k.secret[:], secret) == 1
}
