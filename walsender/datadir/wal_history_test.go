package datadir

import (
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

func TestTimelineAt_4_3(t *testing.T) {
	const history = "1\t0/3000000\tno reason\n2\t0/5000000\tno reason\n"
	for name, test := range map[string]struct {
		change  func(*controlfile.Control)
		history string
		want    map[protocol.LSN]protocol.Timeline
	}{
		"the first timeline": {
			change: func(c *controlfile.Control) { c.Timeline = 1 },
			want:   map[protocol.LSN]protocol.Timeline{0x1000000: 1, 0x9000000: 1},
		},
		"the third": {
			change:  func(c *controlfile.Control) { c.Timeline = 3 },
			history: history,
			want: map[protocol.LSN]protocol.Timeline{
				0: 1, 0x2FFFFFF: 1, 0x3000000: 2, 0x4FFFFFF: 2, 0x5000000: 3, 0x9000000: 3,
			},
		},
		"a standby that has followed its primary since the checkpoint": {
			change:  func(c *controlfile.Control) { c.Timeline, c.MinRecoveryTimeline = 2, 3 },
			history: history,
			want:    map[protocol.LSN]protocol.Timeline{0x4FFFFFF: 2, 0x5000000: 3},
		},
		"no history file": {
			change: func(c *controlfile.Control) { c.Timeline = 3 },
			want:   map[protocol.LSN]protocol.Timeline{0x1000000: 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := validControl()
			test.change(&c)
			f := newFixture(t, c)
			if test.history != "" {
				f.write("pg_wal/00000003.history", []byte(test.history))
			}
			d := f.open()
			for lsn, want := range test.want {
				if got, err := d.TimelineAt(t.Context(), lsn); err != nil || got != want {
					t.Errorf("%v is on timeline %d, %v; want %d", lsn, got, err, want)
				}
			}
		})
	}
}
