package main

// foreignOption is an option of PostgreSQL's programs that is none of ours.
type foreignOption struct {
	short, long string // short may be empty
	why         string // the reason, and what to use instead
}

// foreignOptions are those of pg_basebackup and pg_verifybackup 13 to 19.
func foreignOptions(c command) []foreignOption {
	switch c.(type) {
	case *backupCommand:
		return []foreignOption{
			{"-i", "--incremental", "a backup holds all files, and is none that pg_combinebackup takes; use pg_basebackup for an incremental one"},
			{"-t", "--target", "the backup is written by the client, which checks what arrives; use --pgdata, with \"-\" and --format=tar for standard output"},
			{"", "--sync-method", "files are synchronized one by one while others are copied; use --no-sync to synchronize none"},
		}
	case *verifyCommand:
		return []foreignOption{
			{"-e", "--exit-on-error", "all problems are told, in one run"},
			{"-F", "--format", "only a backup in plain format is verified; unpack the archives first, or use pg_verifybackup"},
			{"-m", "--manifest-path", "the manifest is read from the backup; use pg_verifybackup if it is elsewhere"},
			{"-n", "--no-parse-wal", "it is not needed: the write-ahead log is not read"},
			{"-w", "--wal-directory", "the write-ahead log is not read; use pg_verifybackup, or pg_waldump"},
			{"", "--wal-path", "the write-ahead log is not read; use pg_verifybackup, or pg_waldump"},
		}
	}
	return nil
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
