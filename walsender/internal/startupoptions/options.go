// Package startupoptions reads the settings that a client makes by options of its connection, as
// libpq's options and PGOPTIONS (§1.4).
package startupoptions

import (
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// passedSettings are the settings of a session that a client may make by options, and that
// PostgreSQL's walsender gets: none of them gives rights, or concerns anybody else.
var passedSettings = []string{"wal_sender_timeout", "DateStyle", "TimeZone"}

// Take makes parameters of the startup packet of what its options set, as far as
// this is passed on (§1.4). One that the packet has itself counts for more, as in
// PostgreSQL. It tells what has no effect.
func Take(parameters map[string]string) (ignored []string) {
	settings, ignored := parseOptions(parameters["options"])
next:
	for _, setting := range settings {
		for _, passed := range passedSettings {
			if strings.EqualFold(setting[0], passed) {
				if _, given := parameters[passed]; !given {
					parameters[passed] = setting[1]
				}
				continue next
			}
		}
		ignored = append(ignored, setting[0])
	}
	return ignored
}

// parseOptions takes options apart as PostgreSQL does (pg_split_opts,
// process_postgres_switches): -c NAME=VALUE and --NAME=VALUE are settings, the last of a
// name first. All else is returned as it is.
func parseOptions(text string) (settings [][2]string, others []string) {
	words := splitOptions(text)
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		setting, is := strings.CutPrefix(word, "--")
		if !is {
			setting, is = strings.CutPrefix(word, "-c")
			if is && setting == "" && len(words) > 0 {
				setting, words = words[0], words[1:]
			}
		}
		name, value, has := strings.Cut(setting, "=")
		if !is || !has {
			others = append(others, word)
			continue
		}
		settings = append([][2]string{{strings.ReplaceAll(name, "-", "_"), value}}, settings...)
	}
	return settings, others
}

// splitOptions splits at blanks. A backslash takes what is behind it as it is.
func splitOptions(text string) (words []string) {
	var word strings.Builder
	within, escaped := false, false
	for _, c := range []byte(text) {
		switch {
		case escaped:
			word.WriteByte(c)
			escaped = false
		case c == '\\':
			within, escaped = true, true
		case strings.IndexByte(" \t\n\v\f\r", c) >= 0:
			if within {
				words = append(words, word.String())
				word.Reset()
			}
			within = false
		default:
			word.WriteByte(c)
			within = true
		}
	}
	if within {
		words = append(words, word.String())
	}
	return words
}

// Warning warns of options that have no effect, nil where there are none.
func Warning(ignored []string) *protocol.Error {
	if len(ignored) == 0 {
		return nil
	}
	const most = 8
	list := strings.Join(ignored[:min(len(ignored), most)], ", ")
	if len(ignored) > most {
		list += ", …"
	}
	w := protocol.Warningf("options of the connection have no effect: %s", protocol.Shorten(list, 256))
	w.Code = protocol.CodeFeatureNotSupported
	return w
}
