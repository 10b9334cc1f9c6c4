package slots

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
)

func TestCheckName_9_2(t *testing.T) {
	for name, want := range map[string]string{
		"a":                     "",
		"pg_basebackup_4711":    "",
		"0123456789_":           "",
		strings.Repeat("a", 63): "",
		strings.Repeat("a", 64): protocol.CodeNameTooLong,
		"":                      protocol.CodeInvalidName,
		"A":                     protocol.CodeInvalidName,
		"a-b":                   protocol.CodeInvalidName,
		"..":                    protocol.CodeInvalidName,
		"a/b":                   protocol.CodeInvalidName,
		"ä":                     protocol.CodeInvalidName,
	} {
		if err := CheckName(name); (err != nil || want != "") && !protocol.HasCode(err, want) {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
	}
}

// Whatever sessions do to a few names: a slot is its owner's, is there once, and goes with
// it, as in this model of a map.
func TestTable_9_2(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 3
		table, owners, using := NewTable(most), map[string]uint32{}, map[string]*Slot{}
		kept := &protocol.ReplicationSlot{Name: "kept", RestartLSN: 7}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "name")
			owner := rapid.Uint32Range(1, 3).Draw(t, "owner")
			had, exists := owners[name]
			var err error
			want := ""
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				err = table.Create(name, owner, 0)
				if exists {
					want = protocol.CodeDuplicateObject
				} else if len(owners) == most {
					want = protocol.CodeConfigurationLimitExceeded
				} else {
					owners[name] = owner
				}
			case 1:
				err = table.Drop(context.Background(), name, owner, false)
				if !exists {
					want = protocol.CodeUndefinedObject
				} else if had != owner {
					want = protocol.CodeObjectInUse
				} else {
					delete(owners, name)
				}
			case 2:
				var s *Slot
				s, err = table.Use(name, owner, nil)
				if !exists {
					want = protocol.CodeUndefinedObject
				} else if had != owner {
					want = protocol.CodeObjectInUse
				} else {
					s.Confirm(9)
					s.Release()
				}
			case 3:
				table.DropOwned(owner)
				for n, o := range owners {
					if o == owner {
						delete(owners, n)
					}
				}
			case 4: // one of the cluster's, used by one session at a time
				var s *Slot
				s, err = table.Use(kept.Name, owner, kept)
				if other := using[kept.Name]; other != nil && other.owner != owner {
					want = protocol.CodeObjectInUse
				} else if other != nil {
					other.Release()
					delete(using, kept.Name)
				} else {
					using[kept.Name] = s
				}
			}
			if (err != nil || want != "") && !protocol.HasCode(err, want) {
				t.Fatalf("error %v, want %q", err, want)
			}
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				if _, there := table.RestartLSN(name); there != (owners[name] != 0) {
					t.Fatalf("slot %s is there: %v", name, there)
				}
			}
		}
	})
}

func TestSlot_Confirm(t *testing.T) {
	table := NewTable(1)
	must(t, table.Create("s", 1, 5))
	s, err := table.Use("s", 1, nil)
	must(t, err)
	for flushed, want := range map[protocol.LSN]protocol.LSN{0: 5} {
		s.Confirm(flushed)
		if got, _ := table.RestartLSN("s"); got != want {
			t.Errorf("behind a report of %v: %v", flushed, got)
		}
	}
	s.Confirm(6)
	s.Release() // a temporary slot stays
	if got, there := table.RestartLSN("s"); got != 6 || !there {
		t.Errorf("restart %v, %v", got, there)
	}
}

// WAIT waits for the session that has the slot, and no longer than it is wanted.
func TestTable_Drop_Wait(t *testing.T) {
	table := NewTable(1)
	must(t, table.Create("s", 1, 0))
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if err := table.Drop(ctx, "s", 2, true); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
	done := make(chan error)
	go func() { done <- table.Drop(t.Context(), "s", 2, true) }()
	table.DropOwned(1)
	if err := <-done; !protocol.HasCode(err, protocol.CodeUndefinedObject) {
		t.Errorf("error %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(fmt.Errorf("unexpected: %w", err))
	}
}
