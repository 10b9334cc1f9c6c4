package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pgparallel/pgparallel/protocol"
)

// statusScreen shows the running backups as a table that a person reads.
type statusScreen struct {
	out      *console
	terminal bool
	shown    bool
	last     map[string]sample // by backup
}

// sample is how far a backup was at a moment.
type sample struct {
	at       time.Time
	streamed int64
}

func newStatusScreen(out *console) *statusScreen {
	return &statusScreen{out: out, terminal: isTerminal(out.stdout), last: map[string]sample{}}
}

// show shows the backups, on a terminal that is watched in place of what it showed before.
func (s *statusScreen) show(now time.Time, backups []protocol.BackupStatus, watched bool) {
	text := s.table(now, backups)
	switch {
	case watched && s.terminal:
		const home, clearToEnd, clearLine = "\x1b[H", "\x1b[J", "\x1b[K"
		if !s.shown {
			text = "\x1b[2J" + home + text
		} else {
			text = home + strings.ReplaceAll(text, "\n", clearLine+"\n") + clearToEnd
		}
	case s.shown:
		text = "\n" + text
	}
	s.shown = true
	s.out.print(text)
}

// table is a heading, and a line a backup.
func (s *statusScreen) table(now time.Time, backups []protocol.BackupStatus) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", now.Format("2006-01-02 15:04:05 MST"), plural(len(backups), "backup"))
	next := make(map[string]sample, len(backups))
	if len(backups) > 0 {
		fmt.Fprintln(&b)
		lines := [][]string{nil}
		for _, c := range statusColumns {
			lines[0] = append(lines[0], strings.Trim(c, "<"))
		}
		for _, backup := range backups {
			lines = append(lines, s.line(now, backup))
			next[backup.Backup] = sample{now, backup.Streamed}
		}
		writeAligned(&b, lines)
	}
	s.last = next
	return b.String()
}

// statusColumns are the headings; < ahead of one has its column begin on the left, as text
// does, while numbers end on the right.
var statusColumns = []string{"<BACKUP", "<ROLE", "<PHASE", "<DONE", "SENT", "OF", "RATE", "LIMIT", "LEFT", "SESSIONS", "THROTTLED", "DAMAGED", "<LABEL"}

// writeAligned writes lines whose columns are those of statusColumns.
func writeAligned(b *strings.Builder, lines [][]string) {
	widths := make([]int, len(statusColumns))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range lines {
		var text strings.Builder
		for i, cell := range line {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if strings.HasPrefix(statusColumns[i], "<") {
				text.WriteString(cell + space + "  ")
			} else {
				text.WriteString(space + cell + "  ")
			}
		}
		b.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
}

func (s *statusScreen) line(now time.Time, b protocol.BackupStatus) []string {
	rate := s.rate(now, b)
	return []string{
		b.Backup, printable(b.Role, 20), b.Phase, done(b), size(b.Streamed), known(b.Total >= 0, size(b.Total)),
		known(rate > 0, size(rate)+"/s"), limit(b.MaxRate), remaining(b, rate), fmt.Sprint(b.Sessions),
		known(b.Throttled > 0, b.Throttled.Round(time.Second).String()), known(b.ChecksumFailures > 0, fmt.Sprint(b.ChecksumFailures)),
		printable(b.Label, 40),
	}
}

// rate is how many bytes a second were sent since the table was last shown, or, the first
// time, since the backup began.
func (s *statusScreen) rate(now time.Time, b protocol.BackupStatus) int64 {
	before, watched := s.last[b.Backup]
	if !watched {
		before = sample{b.Started, 0}
	}
	elapsed := now.Sub(before.at).Seconds()
	if elapsed <= 0 || b.Streamed < before.streamed {
		return 0
	}
	return int64(float64(b.Streamed-before.streamed) / elapsed)
}

// known is the text where it is known, or where there is something to tell.
func known(is bool, text string) string {
	if !is {
		return "-"
	}
	return text
}

// done is how much of the backup is sent, as a bar and in per cent.
func done(b protocol.BackupStatus) string {
	const cells = 10
	if b.Total <= 0 {
		return "-"
	}
	share := min(1, float64(b.Streamed)/float64(b.Total))
	full := int(share * cells)
	return fmt.Sprintf("%s%s %3d%%", strings.Repeat("█", full), strings.Repeat("░", cells-full), int(share*100))
}

func limit(kBps int) string {
	if kBps == 0 {
		return "none"
	}
	return size(int64(kBps)*1024) + "/s"
}

// remaining is how long the rest of the backup takes at this rate.
func remaining(b protocol.BackupStatus, rate int64) string {
	left := b.Total - b.Streamed
	if b.Total < 0 || rate <= 0 || left <= 0 {
		return "-"
	}
	return (time.Duration(float64(left)/float64(rate)*float64(time.Second)) + time.Second).Truncate(time.Second).String()
}

// size is a number of bytes in PostgreSQL's units (pg_size_pretty).
func size(bytes int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB"}
	value, unit := float64(bytes), 0
	for value >= 10*1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.0f %s", value, units[unit])
}

// printable is text that cannot move the cursor, of at most so many characters.
func printable(text string, most int) string {
	if text == "" {
		return "-"
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
