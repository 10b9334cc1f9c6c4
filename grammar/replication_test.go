package grammar

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
)

func TestParse_9_2(t *testing.T) {
	for text, want := range map[string]Command{
		`START_REPLICATION 0/0`:                                                StartReplication{},
		`START_REPLICATION 16/B374D848 TIMELINE 3`:                             StartReplication{Start: 0x16B374D848, Timeline: 3},
		`START_REPLICATION SLOT "pg_basebackup_17" 3/1E000000 TIMELINE 1;`:     StartReplication{"pg_basebackup_17", 0x31E000000, 1},
		`START_REPLICATION SLOT Physical PHYSICAL ab/cd`:                       StartReplication{Slot: "physical", Start: 0xAB000000CD},
		`start_replication physical 0/02000028`:                                StartReplication{Start: 0x2000028},
		`CREATE_REPLICATION_SLOT "s" PHYSICAL`:                                 CreateReplicationSlot{Name: "s"},
		`CREATE_REPLICATION_SLOT temporary PHYSICAL`:                           CreateReplicationSlot{Name: "temporary"},
		`CREATE_REPLICATION_SLOT "s" TEMPORARY PHYSICAL RESERVE_WAL`:           CreateReplicationSlot{Name: "s", Temporary: true, ReserveWAL: true},
		`CREATE_REPLICATION_SLOT "s" TEMPORARY PHYSICAL ( RESERVE_WAL)`:        CreateReplicationSlot{"s", true, true, true},
		`CREATE_REPLICATION_SLOT "s" PHYSICAL (reserve_wal 'off')`:             CreateReplicationSlot{Name: "s", Parenthesized: true},
		`CREATE_REPLICATION_SLOT "s" PHYSICAL ("reserve_wal" 1)`:               CreateReplicationSlot{Name: "s", ReserveWAL: true, Parenthesized: true},
		`CREATE_REPLICATION_SLOT "s" TEMPORARY PHYSICAL ( RESERVE_WAL TRUE ) `: CreateReplicationSlot{"s", true, true, true},
		`DROP_REPLICATION_SLOT wait`:                                           DropReplicationSlot{Name: "wait"},
		`START_REPLICATION SLOT "PHYSICAL" 0/0`:                                StartReplication{Slot: "PHYSICAL"},
		`DROP_REPLICATION_SLOT s`:                                              DropReplicationSlot{Name: "s"},
		`DROP_REPLICATION_SLOT "Wait" WAIT`:                                    DropReplicationSlot{"Wait", true},
		`READ_REPLICATION_SLOT "a""b"`:                                         ReadReplicationSlot{`a"b`},
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %#v, %v; want %#v", text, got, err, want)
		}
	}
}

func TestParse_9_2_Errors(t *testing.T) {
	for text, want := range map[string]string{
		`START_REPLICATION`:                                             "syntax error at end of input",
		`START_REPLICATION '0/0'`:                                       `syntax error at or near "'0/0'"`,
		`START_REPLICATION 0 / 0`:                                       `syntax error at or near "0"`,
		`START_REPLICATION 0/g`:                                         `syntax error at or near "0"`,
		`START_REPLICATION 123456789/0`:                                 "invalid streaming start location",
		`START_REPLICATION 0/0 TIMELINE 0`:                              "invalid timeline 0",
		`START_REPLICATION SLOT s LOGICAL 0/0`:                          `syntax error at or near "LOGICAL"`,
		`START_REPLICATION SLOT  PHYSICAL 0/0`:                          `syntax error at or near "PHYSICAL"`,
		`DROP_REPLICATION_SLOT WAIT`:                                    `syntax error at or near "WAIT"`,
		`START_REPLICATION SLOT "" 0/0`:                                 `zero-length delimited identifier at or near """"`,
		`CREATE_REPLICATION_SLOT s`:                                     "syntax error at end of input",
		`CREATE_REPLICATION_SLOT s PHYSICAL ()`:                         `syntax error at or near ")"`,
		`CREATE_REPLICATION_SLOT s PHYSICAL (RESERVE_WAL 2)`:            "reserve_wal requires a Boolean value",
		`CREATE_REPLICATION_SLOT s PHYSICAL (two_phase)`:                "conflicting or redundant options",
		`CREATE_REPLICATION_SLOT s PHYSICAL (reserve_wal, reserve_wal)`: "conflicting or redundant options",
		`CREATE_REPLICATION_SLOT s PHYSICAL (color 'red')`:              "unrecognized option: color",
		`CREATE_REPLICATION_SLOT s PHYSICAL RESERVE_WAL RESERVE_WAL`:    `syntax error at or near "RESERVE_WAL"`,
		`DROP_REPLICATION_SLOT`:                                         "syntax error at end of input",
		`READ_REPLICATION_SLOT 's'`:                                     `syntax error at or near "'s'"`,
	} {
		_, err := Parse(text)
		e, _ := err.(*protocol.Error)
		if e == nil || e.Message != want || e.Position == 0 {
			t.Errorf("Parse(%q): %v at %v, want %s", text, err, e, want)
		}
	}
}

func drawReplicationCommand(t *rapid.T) Command {
	name := drawText().Filter(func(s string) bool { return s != "" }).Draw(t, "name")
	flag := rapid.Bool()
	switch rapid.IntRange(0, 3).Draw(t, "replication command") {
	case 0:
		return StartReplication{
			Slot:     rapid.SampledFrom([]string{"", name}).Draw(t, "slot"),
			Start:    protocol.LSN(rapid.Uint64().Draw(t, "start")),
			Timeline: protocol.Timeline(rapid.Uint32().Draw(t, "timeline")),
		}
	case 1:
		return CreateReplicationSlot{name, flag.Draw(t, "temporary"), flag.Draw(t, "reserve"), flag.Draw(t, "parenthesized")}
	case 2:
		return DropReplicationSlot{name, flag.Draw(t, "wait")}
	default:
		return ReadReplicationSlot{name}
	}
}

// Whatever a command holds, its text means the command.
func TestCommand_9_2_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawReplicationCommand(t)
		got, err := Parse(want.String())
		if err != nil || got != want {
			t.Fatalf("Parse(%q) = %#v, %v; want %#v", want, got, err, want)
		}
	})
}
