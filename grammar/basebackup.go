package grammar

import (
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// DefaultBaseBackupLabel is the label of a BASE_BACKUP without one (§9.1).
const DefaultBaseBackupLabel = "base backup"

// BaseBackup is BASE_BACKUP (§9.1), one of PostgreSQL's own commands. Its options are
// written in one way up to PostgreSQL 14 and in another from 15 on, so that only
// [BaseBackup.Parse] can read them.
type BaseBackup struct {
	// Text is what the client sent behind the keyword, token by token with one space
	// between them and without the semicolon at the end. Nothing of it was checked.
	Text string
}

func (BaseBackup) command() {}

// String is the command as a client sends it.
func (c BaseBackup) String() string {
	if c.Text == "" {
		return "BASE_BACKUP"
	}
	return "BASE_BACKUP " + c.Text
}

// BaseBackupOptions are the options of a BASE_BACKUP.
type BaseBackupOptions struct {
	// Label is as in [StartBackup], and DefaultBaseBackupLabel where there is none.
	Label string
	// Progress asks for the sizes of the tablespaces.
	Progress bool
	// Fast asks for an immediate checkpoint instead of a spread one.
	Fast bool
	// WAL asks for the WAL that the backup needs, in the archive of the data directory.
	WAL bool
	// NoWait says not to wait for the archiving of the backup's WAL.
	NoWait bool
	// MaxRate is as in [StartBackup].
	MaxRate int
	// TablespaceMap asks for a tablespace_map in the place of the tablespaces' links.
	TablespaceMap bool
	// NoVerifyChecksums says not to verify the page checksums of files.
	NoVerifyChecksums bool
	// Manifest says whether a manifest is asked for, and in which form.
	Manifest BaseBackupManifest
	// ManifestChecksums is the algorithm of the manifest's checksums, in capitals as in
	// the manifest.
	ManifestChecksums string
	// Compression is how the archives are compressed: "", "none", "gzip", "lz4" or
	// "zstd".
	Compression string
	// CompressionDetail is what goes with it, as the client sent it. Whether it makes
	// sense was not checked.
	CompressionDetail string
	// Detailed says that there is a CompressionDetail, perhaps an empty one.
	Detailed bool
	// Incremental asks for an incremental backup.
	Incremental bool
}

// BaseBackupManifest is the value of BASE_BACKUP's option MANIFEST.
type BaseBackupManifest int

// The values of MANIFEST.
const (
	NoManifest BaseBackupManifest = iota
	Manifest
	ManifestForceEncode // with every path in hexadecimal
)

// firstParenthesized is the first major version of PostgreSQL in which the options of
// BASE_BACKUP are a list in parentheses. It takes no others.
const firstParenthesized = 15

// firstIncremental is the first major version that has incremental backups.
const firstIncremental = 17

// Parse reads the options as PostgreSQL of the major version does. The error is a
// *[protocol.Error] in PostgreSQL's words, without a position: 42601 for what is
// wrongly written, unknown or given twice, 22003 for a MAX_RATE out of range, 22021 and
// 22023 as in [Parse], and 0A000 for a target other than the client.
func (c BaseBackup) Parse(major int) (BaseBackupOptions, error) {
	b := baseBackupBuilder{major: major, seen: options{}}
	b.options.Label, b.options.ManifestChecksums = DefaultBaseBackupLabel, "CRC32C"
	if strings.Trim(c.Text, whiteSpace) == "" {
		return b.options, nil
	}
	list, err := parseOptionList(c.Text, major)
	if err != nil {
		return BaseBackupOptions{}, err
	}
	for _, o := range list {
		if err := b.add(o); err != nil {
			return BaseBackupOptions{}, err
		}
	}
	return b.options, b.check()
}

// baseBackupBuilder takes the options one by one, as parse_basebackup_options of
// PostgreSQL's basebackup.c does.
type baseBackupBuilder struct {
	major   int
	options BaseBackupOptions
	seen    options
	target  string
}

// add takes an option. One that is there twice is found out before its second value is
// looked at.
func (b *baseBackupBuilder) add(o option) (err error) {
	name, ok := b.canonical(o.name)
	if !ok {
		return protocol.Errorf(protocol.CodeSyntaxError, "unrecognized base backup option: \"%s\"", protocol.Shorten(o.name, maxQuoted))
	}
	if b.seen[name] {
		return protocol.Errorf(protocol.CodeSyntaxError, "duplicate option \"%s\"", o.name)
	}
	b.seen[name] = true
	out := &b.options
	switch name {
	case "label":
		out.Label, err = o.label()
	case "progress":
		out.Progress, err = o.boolean()
	case "checkpoint":
		out.Fast, err = o.checkpoint()
	case "wal":
		out.WAL, err = o.boolean()
	case "wait":
		out.NoWait, err = o.negated()
	case "max_rate":
		out.MaxRate, err = o.maxRate()
	case "tablespace_map":
		out.TablespaceMap, err = o.boolean()
	case "verify_checksums":
		out.NoVerifyChecksums, err = o.negated()
	case "manifest":
		out.Manifest, err = o.manifest()
	case "manifest_checksums":
		out.ManifestChecksums, err = o.manifestChecksums()
	case "compression":
		out.Compression, err = o.compression()
	case "compression_detail":
		out.Detailed = true
		out.CompressionDetail, err = o.text()
	case "target":
		b.target, err = o.text()
	case "target_detail":
		_, err = o.text()
	case "incremental":
		out.Incremental, err = o.boolean()
	}
	return err
}

// canonical is the name that the option has since PostgreSQL 15, and whether the major
// version has the option. FAST, NOWAIT and NOVERIFY_CHECKSUMS are older names.
func (b *baseBackupBuilder) canonical(name string) (string, bool) {
	switch name {
	case "label", "progress", "wal", "max_rate", "tablespace_map", "manifest", "manifest_checksums":
		return name, true
	case "checkpoint", "wait", "verify_checksums", "compression", "compression_detail", "target", "target_detail":
		return name, b.major >= firstParenthesized
	case "incremental":
		return name, b.major >= firstIncremental
	}
	if b.major >= firstParenthesized {
		return "", false
	}
	older := map[string]string{"fast": "checkpoint", "nowait": "wait", "noverify_checksums": "verify_checksums"}
	newer, known := older[name]
	return newer, known
}

// check is what can be said when all options are there.
func (b *baseBackupBuilder) check() error {
	wrong := func(format string, args ...any) error {
		return protocol.Errorf(protocol.CodeSyntaxError, format, args...)
	}
	switch {
	case b.seen["manifest_checksums"] && b.options.Manifest == NoManifest:
		return wrong("manifest checksums require a backup manifest")
	case b.seen["target_detail"] && !b.seen["target"]:
		return wrong("target detail cannot be used without target")
	case b.seen["target_detail"] && b.target == "client":
		return wrong("target \"%s\" does not accept a target detail", b.target)
	case b.target == "server" && !b.seen["target_detail"]:
		return wrong("target \"%s\" requires a target detail", b.target)
	case b.seen["target"] && b.target != "client":
		return protocol.Errorf(protocol.CodeFeatureNotSupported, "unrecognized target: \"%s\"", protocol.Shorten(b.target, maxQuoted))
	case b.seen["compression_detail"] && !b.seen["compression"]:
		return wrong("compression detail cannot be specified unless compression is enabled")
	}
	return nil
}
