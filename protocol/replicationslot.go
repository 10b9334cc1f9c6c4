package protocol

// ReplicationSlot is a replication slot that a cluster keeps in pg_replslot (§9.2).
type ReplicationSlot struct {
	Name    string
	Logical bool // of a database: of no use to physical replication
	// RestartLSN is from where on the slot keeps WAL; 0: it keeps none.
	RestartLSN LSN
	// Invalidated says that the server has given the slot up, and may have removed WAL
	// that it needs.
	Invalidated bool
}

// CreatedSlotColumns are the columns of CREATE_REPLICATION_SLOT.
func CreatedSlotColumns() []Column {
	return []Column{{"slot_name", oidText}, {"consistent_point", oidText}, {"snapshot_name", oidText}, {"output_plugin", oidText}}
}

// CreatedSlotRow is the row of CREATE_REPLICATION_SLOT for a physical slot of a cluster of
// the major version: only the name says something.
func CreatedSlotRow(name string, major int) Row {
	return Row{[]byte(name), []byte(LSN(0).Text(major)), nil, nil}
}

// SlotColumns are the columns of READ_REPLICATION_SLOT.
func SlotColumns() []Column {
	return []Column{{"slot_type", oidText}, {"restart_lsn", oidText}, {"restart_tli", oidInt8}}
}

// SlotRow is the row of READ_REPLICATION_SLOT for a physical slot of a cluster of the major
// version: from where on it keeps WAL, 0 for none, and the timeline of that position.
func SlotRow(restart LSN, tli Timeline, major int) Row {
	if restart == 0 {
		return Row{[]byte("physical"), nil, nil}
	}
	return Row{[]byte("physical"), []byte(restart.Text(major)), integer(tli)}
}

// NoSlotRow is the row of READ_REPLICATION_SLOT for a slot that does not exist.
func NoSlotRow() Row { return Row{nil, nil, nil} }

// NextTimelineColumns are the columns that START_REPLICATION ends with where it has sent
// an older timeline to its end.
func NextTimelineColumns() []Column {
	return []Column{{"next_tli", oidInt8}, {"next_tli_startpos", oidText}}
}

// NextTimelineRow says which timeline comes next, and where it begins, of a cluster of the
// major version.
func NextTimelineRow(tli Timeline, start LSN, major int) Row {
	return Row{integer(tli), []byte(start.Text(major))}
}
