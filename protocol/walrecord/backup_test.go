package walrecord

import (
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
)

// Runs of segments that are read side by side make one, which has what recovery looks for, or
// it is told what is missing.
func TestRun_Check(t *testing.T) {
	l := testLog()
	good := Backup{Start: testStart, Stop: 0x380128, Checkpoint: 0x140100, Source: "the label", Ends: true}
	for _, test := range []struct {
		name   string
		change func(b *Backup)
		damage int // a position in the segments, 0: none
		want   string
	}{
		{"good", func(*Backup) {}, 0, ""},
		{"of a standby", func(b *Backup) { b.Ends = false }, 0, ""},
		{"the checkpoint is not known", func(b *Backup) { b.Checkpoint = 0 }, 0, ""},
		{"another checkpoint", func(b *Backup) { b.Checkpoint += 8 }, 0, "the checkpoint that begins at 0/100028 is at 0/140100, and the label has it at 0/140108"},
		{"too short", func(b *Backup) { b.Stop = 0x400008 }, 0, "its records end at 0/400000, before the end of the backup at 0/400008"},
		{"ends elsewhere", func(b *Backup) { b.Stop = 0x380000 }, 0, "there is no record before 0/380000 that ends the backup which started at 0/100028"},
		{"damaged", func(*Backup) {}, 0x50100, "invalid write-ahead log at 0/140178: incorrect checksum of the record"},
		{"damaged behind its end", func(b *Backup) { b.Ends, b.Stop = false, 0x140178 }, 0x50100, ""},
		{"damaged ahead of the checkpoint", func(b *Backup) { b.Ends, b.Stop = false, 0 }, 0x40080, "invalid write-ahead log"},
	} {
		runs := map[protocol.LSN]*Run{}
		for begin := protocol.LSN(0x100000); begin < l.End(); begin += testSegment {
			content := []byte(l.Segment(begin))
			if at := protocol.LSN(0x100000 + test.damage); test.damage > 0 && at >= begin && at < begin+testSegment {
				content[at-begin] ^= 1
			}
			runs[begin] = NewRun(testSource, begin, testStart)
			_, _ = runs[begin].Write(content) // Check tells
		}
		b := good
		test.change(&b)
		err := JoinAll(runs, 0x100000).Check(b)
		if err == nil && test.want != "" || err != nil && (test.want == "" || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if JoinAll(map[protocol.LSN]*Run{}, 0x100000) != nil {
		t.Error("no runs make one")
	}
}
