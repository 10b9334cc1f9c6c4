package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// copyTemplate is [Programs.Init] by a copy of a cluster that initdb has made before, and
// without one for a user who has no cache folder.
func (p Programs) copyTemplate(ctx context.Context, dir string, o InitOptions) (*Cluster, error) {
	cache, err := p.cacheDir()
	if err != nil {
		return p.Init(ctx, dir, o)
	}
	template, err := p.template(ctx, cache, o)
	if err != nil {
		return nil, err
	}
	if dir, err = p.mkdir(dir); err != nil {
		return nil, err
	}
	if _, err := p.Run(ctx, "/bin/cp", "-Rp", template+"/.", dir); err != nil {
		return nil, err
	}
	return p.configured(dir, o)
}

// template is the directory of a cluster with the options, but without the settings, that
// nobody starts. It stays in the folder for the tests to come. Of several
// processes that make it at a time the first one to have it counts.
func (p Programs) template(ctx context.Context, cache string, o InitOptions) (string, error) {
	args := p.initArgs(o)
	key := sha256.New()
	fmt.Fprintln(key, p.BinDir, p.Version, args)
	for _, program := range []string{"initdb", "postgres"} { // a package may change under its version
		info, err := os.Stat(filepath.Join(p.BinDir, program))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(key, info.Size(), info.ModTime().UnixNano())
	}
	name := filepath.Join(cache, fmt.Sprintf("%s-%x", p.Version, key.Sum(nil)[:6]))
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return name, err
	}
	making, err := p.MkdirTemp(cache, "making")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(making)
	if _, err := p.Run(ctx, "initdb", append(args, "-D", making)...); err != nil {
		return "", err
	}
	if err := os.Rename(making, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return name, nil
}

// cacheDir makes the folder where the templates are, beside the programs that the script fetch has
// fetched. The home of root is closed to the user that the programs run as.
func (p Programs) cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if p.user != nil && os.Getenv("XDG_CACHE_HOME") == "" {
		cache, err = "/var/cache", nil
	}
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "pgparallel", "clusters")
	return dir, os.MkdirAll(dir, 0o755)
}
