package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

var errUnknownMajor = errors.New("pgBackRest does not know this major version of PostgreSQL")

// pgBackRest copies into a repository, without compression and without an archive of WAL; it
// checks pages and writes a manifest, too, with SHA-1.
func (s *source) pgBackRest(program, version string, processes int) *subject {
	return &subject{
		path: "-", program: fmt.Sprintf("pgBackRest %s, process-max %d", version, processes),
		prepare: func(ctx context.Context, target string) error { return s.createStanza(ctx, program, target) },
		client: func(ctx context.Context, target string) *exec.Cmd {
			return s.programs.Command(ctx, program, append(s.pgBackRestArgs(target), "--process-max="+strconv.Itoa(processes),
				"--type=full", "--start-fast", "--compress-type=none", "--no-archive-check", "--repo1-retention-full=1", "backup")...)
		},
	}
}

// createStanza makes the repository. It fails where pgBackRest does not know the cluster's major.
func (s *source) createStanza(ctx context.Context, program, target string) error {
	if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	if err := s.programs.Own(target); err != nil {
		return err
	}
	out, err := s.programs.Command(ctx, program, append(s.pgBackRestArgs(target), "stanza-create")...).CombinedOutput()
	switch {
	case err != nil && bytes.Contains(out, []byte("VersionNotSupportedError")):
		return errUnknownMajor
	case err != nil:
		return fmt.Errorf("pgbackrest stanza-create: %w\n%s", err, tail(string(out), 1000))
	}
	return nil
}

func (s *source) pgBackRestArgs(target string) []string {
	return []string{
		"--stanza=bench", "--pg1-path=" + s.cluster.Dir, "--pg1-socket-path=" + s.cluster.SocketDir, "--pg1-user=postgres",
		"--pg1-port=" + strconv.Itoa(s.cluster.Port), "--repo1-path=" + target, "--config=/dev/null",
		"--lock-path=" + filepath.Join(s.top, "lock"), "--log-path=" + filepath.Join(s.top, "log"),
		"--log-level-file=off", "--log-level-console=warn",
	}
}

// tryPgBackRest reports, as an error, why pgBackRest cannot back up the source. The version is that
// of the program.
func (s *source) tryPgBackRest(ctx context.Context, program string) (version string, err error) {
	out, err := exec.CommandContext(ctx, program, "version").Output()
	if err != nil {
		return "", err
	}
	version = strings.TrimPrefix(strings.TrimSpace(string(out)), "pgBackRest ")
	repository, err := s.programs.MkdirTemp(s.top, "repository")
	if err != nil {
		return version, err
	}
	defer os.RemoveAll(repository)
	return version, s.createStanza(ctx, program, repository)
}
