// Package datatree writes a backup as a data directory, as pg_basebackup -Fp does.
//
// A [Tree] is the data directory and, each by its own path, the directories of the tablespaces
// and of WAL. New and Locate look at them and change nothing. Claim makes them this backup's:
// it creates those that are missing, puts a marker into each, and locks the one of the data
// directory. From then on nobody else writes there, and everything in them is the backup's.
// So Undo can remove all of it, and gives each directory back as it was found. A backup that is
// killed leaves its markers: the next one knows by them what [Config].Force may remove.
//
// Each worker has a sink of its own, which creates files where they belong. global/pg_control
// has another name until Release, which writes the manifest, makes everything durable, and gives
// names and removes markers in the order of §5.6. The order, and why a kill between any two
// steps does no harm, is with [Tree.ReleaseHeld]: it serves archives as well, which lie in a
// Tree without tablespaces.
//
// The goroutine of the backup owns the Tree. Sinks share only what Claim has set, and no
// goroutine is started here. § is a section of protocol/PROTOCOL.md.
package datatree
