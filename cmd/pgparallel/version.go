package main

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// commit and committed are what make has built from: the commit, and the time of it in
// the form of RFC 3339. They are empty where something else has built.
var commit, committed string

// release is what program this is, as far as it is known.
type release struct {
	version   string    // a module's, as v0.1.0; "(devel)" where the toolchain knows none
	commit    string    // with "+dirty" where the source differs from it
	committed time.Time // when the commit was made, in UTC
}

// thisRelease is what the toolchain wrote into the program, else what make did. A program
// that go install has fetched by its version has no commit but in a pseudo-version.
func thisRelease() release {
	r := release{version: "(devel)"}
	settings := map[string]string{"vcs.revision": commit, "vcs.time": committed}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			r.version = info.Main.Version
		}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
	}
	r.commit = settings["vcs.revision"]
	if settings["vcs.modified"] == "true" {
		r.commit += "+dirty"
	}
	if at, err := time.Parse(time.RFC3339, settings["vcs.time"]); err == nil {
		r.committed = at.UTC()
	}
	return r
}

// String is the version, and behind it the commit and its day where they are known: the tag
// of the commit that the program was built from, or a pseudo-version where the commit has
// none.
func (r release) String() string {
	var origin []string
	if r.commit != "" {
		name, dirty := strings.CutSuffix(r.commit, "+dirty")
		name = name[:min(len(name), 12)]
		if dirty {
			name += "+dirty"
		}
		origin = append(origin, "commit "+name)
	}
	if day := r.day(); day != "" {
		origin = append(origin, day)
	}
	if len(origin) == 0 {
		return r.version
	}
	return fmt.Sprintf("%s (%s)", r.version, strings.Join(origin, ", "))
}

// day is when the commit was made, empty where that is not known.
func (r release) day() string {
	if r.committed.IsZero() {
		return ""
	}
	return r.committed.Format(time.DateOnly)
}
