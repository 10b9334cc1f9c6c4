package main

import (
	"math"
	"time"

	"github.com/pgparallel/pgparallel/client"
)

// runOptions are about how a backup is run, where pg_basebackup has no such options.
type runOptions struct {
	MinJobs workerCount
	DryRun  bool
	Force   bool
	JSON    bool `name:"json"`
	Timeout silenceLength
}

// apply sets what the client has to know of them.
func (o runOptions) apply(to *client.Options) error {
	if int(o.MinJobs) > to.Jobs {
		return usagef("--min-jobs must not be above --jobs")
	}
	to.MinJobs, to.Force, to.Timeout = int(o.MinJobs), o.Force, o.Timeout.duration()
	return nil
}

// silenceLength is the value of --timeout, in seconds.
type silenceLength int

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (n *silenceLength) UnmarshalText(text []byte) error {
	value, err := parseInteger(text, "--timeout", 0, math.MaxInt32/1000)
	*n = silenceLength(value)
	return err
}

func (n silenceLength) duration() time.Duration { return time.Duration(n) * time.Second }
