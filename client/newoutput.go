package client

import (
	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/tarball"
)

// newOutput makes what the backup is written as, of options that withDefaults has checked.
// Nothing behind it asks for the format.
func newOutput(o Options, log output.Log) (output.Output, error) {
	var archives tarball.Config
	if o.Archive != nil {
		archives.Compression, archives.Out = o.Archive.Compression, o.Archive.Output
	}
	if o.WriteRecoveryConf {
		archives.Appended = []string{output.AutoConfFile}
	}
	if archives.Out != nil {
		return tarball.New(archives), nil
	}
	config := datatree.Config{Dir: o.Dir, WALDir: o.WAL.Dir, Force: o.Force, NoSync: o.NoSync, SyncMethod: o.SyncMethod, NoClean: o.NoClean, DryRun: o.dryRun, Log: log}
	if o.Refresh {
		return newRefresh(config, o.InPlace)
	}
	tree, err := datatree.New(config)
	if err != nil {
		return nil, err
	}
	if o.Archive == nil {
		return tree, nil
	}
	archives.Tree = tree
	return tarball.New(archives), nil
}

// newRefresh returns no nil pointer as an Output.
func newRefresh(c datatree.Config, inPlace bool) (output.Output, error) {
	tree, err := datatree.NewRefresh(c, inPlace)
	if err != nil {
		return nil, err
	}
	return tree, nil
}
