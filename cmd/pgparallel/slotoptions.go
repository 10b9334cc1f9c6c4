package main

import (
	"math"
	"time"

	"github.com/pgparallel/pgparallel/client"
)

// slotOptions are about the stream of WAL and its replication slot.
type slotOptions struct {
	Slot           string         `short:"S"`
	CreateSlot     bool           `short:"C"`
	NoSlot         bool           `name:"no-slot"`
	StatusInterval statusInterval `short:"s" default:"10"`
}

// apply sets what the client has to know of them, and refuses what does not go
// together, in pg_basebackup's words.
func (o slotOptions) apply(to *client.Options) error {
	to.Slot, to.CreateSlot, to.NoSlot, to.StatusInterval = o.Slot, o.CreateSlot, o.NoSlot, o.StatusInterval.duration()
	method := to.WAL
	streamed := method == client.WALDefault || method == client.WALStream
	switch {
	case o.Slot != "" && !streamed:
		return usagef("replication slots can only be used with WAL streaming")
	case o.NoSlot && o.Slot != "":
		return usagef("--no-slot cannot be used with slot name")
	case o.NoSlot && o.CreateSlot:
		return usagef("--create-slot and --no-slot are incompatible options")
	case o.NoSlot && !streamed:
		return usagef("--no-slot can only be used with WAL streaming")
	case o.CreateSlot && o.Slot == "":
		return usagef("--create-slot needs a slot to be specified using --slot")
	}
	return nil
}

// statusInterval is the value of -s, in seconds; 0 means that the server is told when
// it asks.
type statusInterval int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *statusInterval) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "-s/--status-interval", 0, math.MaxInt32/1000)
	*n = statusInterval(value)
	return err
}

// duration is the interval as client has it, where 0 is the default.
func (n statusInterval) duration() time.Duration {
	if n == 0 {
		return -1
	}
	return time.Duration(n) * time.Second
}
