package main

// foreignOption is an option of PostgreSQL's programs that is none of ours.
type foreignOption struct {
	short, long string // short may be empty
	why         string // the reason, and what to use instead
}

// foreignOptions are those of pg_basebackup 13 to 19. All of pg_verifybackup's are ours.
func foreignOptions(c command) []foreignOption {
	if _, backup := c.(*backupCommand); !backup {
		return nil
	}
	return []foreignOption{
		{"-i", "--incremental", "a backup holds all files, and is none that pg_combinebackup takes; use pg_basebackup for an incremental one"},
	}
}

// whyNotSupported says why an option that PostgreSQL's program of the same purpose has
// is not here. It is empty for all others.
func whyNotSupported(option string, c command) string {
	for _, o := range foreignOptions(c) {
		if option == o.long || option == o.short {
			return o.long + ": " + o.why
		}
	}
	return ""
}
