package serverkit

import (
	"fmt"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// slot is the name of the slots that the kit makes. They are temporary ones: each goes with its
// session, at the latest.
const slot = "pgparallel_conformance"

// createSlot makes such a slot.
const createSlot = "CREATE_REPLICATION_SLOT " + slot + " TEMPORARY PHYSICAL"

// firstReadSlot is the first major version of PostgreSQL that has READ_REPLICATION_SLOT, and
// options of slots in parentheses.
const firstReadSlot = 15

func slotCases() []Case {
	return []Case{
		{rule.Must("S-SLOT/001", "§9.2", "A temporary slot is what pg_basebackup streams with: it can be made, used and dropped."), func(t *conversation) {
			p := t.replication()
			p.locate()
			p.playAll(createSlot, "START_REPLICATION SLOT "+slot+" {segment}", "DROP_REPLICATION_SLOT "+slot)
		}},
		{rule.Must("S-SLOT/002", "§9.2", "A name is taken once."), func(t *conversation) {
			p := t.replication()
			p.playAll(createSlot, createSlot)
		}},
		{rule.Must("S-SLOT/003", "§9.2", "A slot that does not exist is told from one that is in use."), func(t *conversation) {
			t.replication().playAll("DROP_REPLICATION_SLOT "+slot, "DROP_REPLICATION_SLOT "+slot+" WAIT", "START_REPLICATION SLOT "+slot+" 0/1000000")
		}},
		{rule.Must("S-SLOT/004", "§9.2", "Where a slot keeps WAL from can be read; of one that does not exist everything is NULL."), func(t *conversation) {
			p := t.replication()
			p.sinceReadSlot()
			p.playAll("READ_REPLICATION_SLOT "+slot, createSlot, "READ_REPLICATION_SLOT "+slot, "DROP_REPLICATION_SLOT "+slot,
				createSlot+" (RESERVE_WAL)", "READ_REPLICATION_SLOT "+slot, "DROP_REPLICATION_SLOT "+slot,
				createSlot+" (RESERVE_WAL false)", "READ_REPLICATION_SLOT "+slot)
		}},
		{rule.Must("S-SLOT/005", "§9.2", "The name of a slot is that of a directory: it has few characters, and is cut to 63 bytes."), func(t *conversation) {
			p := t.replication()
			long := strings.Repeat("a", 64)
			for _, name := range []string{`"a-b"`, `"A"`, `"a.b"`, `""`, long, `"` + long + `-"`} {
				p.play("CREATE_REPLICATION_SLOT " + name + " TEMPORARY PHYSICAL")
			}
			p.play("START_REPLICATION SLOT " + long + " 0/1000000")
			p.play("DROP_REPLICATION_SLOT " + long)
		}},
		{rule.Must("S-SLOT/006", "§9.2", "An option that a slot does not have is refused."), func(t *conversation) {
			p := t.replication()
			p.playAll(createSlot+" FOO", createSlot+" RESERVE_WAL RESERVE_WAL")
			if p.major >= firstReadSlot {
				p.playAll(createSlot+" (reserve_wal, reserve_wal)", createSlot+" (reserve_wal 2)", createSlot+" (two_phase)", createSlot+" (color)", createSlot+" ()")
			}
		}},
		{rule.Must("S-SLOT/007", "§9.2", "A temporary slot goes with its session, and with any command of it that fails."), func(t *conversation) {
			p := t.replication()
			p.playAll(createSlot, "DROP_REPLICATION_SLOT pgparallel_conformance_none", "DROP_REPLICATION_SLOT "+slot, createSlot)
			if p.conn != nil {
				_ = p.conn.Close() // that is the point
			}
			other := t.session()
			other.play("DROP_REPLICATION_SLOT " + slot + " WAIT")
		}},
		{rule.Must("S-SLOT/008", "§9.2", "A slot is one session's at a time."), func(t *conversation) {
			p := t.replication()
			p.locate()
			p.play(createSlot)
			other := t.session()
			other.playAll("START_REPLICATION SLOT "+slot+" {segment}", "DROP_REPLICATION_SLOT "+slot)
			p.play("DROP_REPLICATION_SLOT " + slot)
		}},
		{rule.Must("S-SLOT/009", "§9.2", "With RESERVE_WAL a slot keeps WAL from the last checkpoint on, from where a standby can begin."), func(t *conversation) {
			p := t.replication()
			p.locate()
			p.play(createSlot + " RESERVE_WAL")
			if p.major < firstReadSlot {
				return
			}
			restart, err := protocol.ParseLSN(p.play("READ_REPLICATION_SLOT " + slot).text(1))
			t.want(err == nil && restart < p.places.end, fmt.Sprintf("WAL from before its end at %v", p.places.end), "from %v, %v", restart, err)
		}},
	}
}

// sinceReadSlot excuses a server of a PostgreSQL that has no READ_REPLICATION_SLOT.
func (p *peer) sinceReadSlot() {
	if p.major != 0 && p.major < firstReadSlot {
		p.excuse(rule.Excuse{Reason: "PostgreSQL has READ_REPLICATION_SLOT from 15 on"})
	}
}
