package acceptance_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// What a file system has no way to do is no failure, but told where names are in danger;
// what it could not do is one.
func TestSync_Errors(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	from := newSample(t)
	s := serve(t, from.dir)
	for _, test := range []struct {
		call, code string
		status     int
	}{
		{"fsync", "EINVAL", 0}, {"fsync", "EBADF", 0}, {"fsync", "EIO", 1}, {"fsync", "ENOSPC", 1}, {"fsync", "EDQUOT", 1},
		{"syncfs", "ENOSYS", 0}, {"syncfs", "EINVAL", 0}, {"syncfs", "EPERM", 0}, {"syncfs", "EIO", 1},
	} {
		to := newTarget(t, t.TempDir(), false)
		cmd := backup(t, s.socketDir, to.dir, "--no-manifest", "-T", from.location+"="+to.tablespace)
		traced := exec.Command(strace, append([]string{"-f", "-o", "/dev/null", "-e", "trace=" + test.call, "-e", "inject=" + test.call + ":error=" + test.code}, cmd.Args...)...)
		traced.Env = cmd.Env
		b := run(t, traced)
		if strings.Contains(b.stderr.String(), "ptrace") {
			t.Skip("strace may not trace here")
		}
		if b.status() != test.status {
			t.Errorf("%s of %s: exit status %d, want %d", test.code, test.call, b.status(), test.status)
		}
		if b.status() != 0 {
			to.checkUntouched(t)
		}
		warned := strings.Contains(b.stderr.String(), fmt.Sprintf("warning: could not synchronize directory %q: ", to.tablespace))
		if want := test.call == "fsync" && test.status == 0; warned != want {
			t.Errorf("%s of %s: it said %s", test.code, test.call, b.stderr.String())
		}
	}
}

// Where the file system is not asked as a whole, each file is synchronized, also in
// directories that are reached through a link.
func TestSync_ThroughLinks(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	from := newSample(t)
	s := serve(t, from.dir)
	base, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	for _, name := range []string{"copy", "space", "wal"} {
		must(t, os.MkdirAll(filepath.Join(base, "real", name), 0o700))
		must(t, os.Symlink(filepath.Join("real", name), filepath.Join(base, name)))
	}
	trace := filepath.Join(base, "trace")
	cmd := backup(t, s.socketDir, filepath.Join(base, "copy"), "-T", from.location+"="+filepath.Join(base, "space"), "--waldir", filepath.Join(base, "wal"))
	traced := exec.Command(strace, append([]string{"-f", "-y", "-o", trace, "-e", "trace=fsync,syncfs", "-e", "inject=syncfs:error=ENOSYS"}, cmd.Args...)...)
	traced.Env = cmd.Env
	b := run(t, traced)
	if strings.Contains(b.stderr.String(), "ptrace") {
		t.Skip("strace may not trace here")
	}
	if b.status() != 0 {
		t.Fatalf("exit status %d", b.status())
	}
	calls, err := os.ReadFile(trace)
	must(t, err)
	files := 0
	must(t, filepath.WalkDir(filepath.Join(base, "real"), func(path string, entry os.DirEntry, err error) error {
		name := strings.TrimPrefix(path, filepath.Join(base, "real")+"/")
		switch {
		case err != nil || entry.Type()&os.ModeSymlink != 0 || path == filepath.Join(base, "real"):
			return err
		case name == "copy/global/pg_control": // it had another name then
			path += ".incomplete"
		case name == "copy/backup_manifest":
			path += ".tmp"
		}
		files++
		if !strings.Contains(string(calls), "<"+path+">") {
			t.Errorf("%s is not synchronized", name)
		}
		return nil
	}))
	if files < 20 {
		t.Errorf("there are %d files only", files)
	}
}

// --sync-method says which calls are made, whatever the file system.
func TestSync_Method(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	from := newSample(t)
	s := serve(t, from.dir)
	for method, want := range map[string]struct{ files, systems bool }{"fsync": {true, false}, "syncfs": {false, true}} {
		base := t.TempDir()
		trace, dir := filepath.Join(base, "trace"), filepath.Join(base, "copy")
		cmd := backup(t, s.socketDir, dir, "--sync-method", method, "-T", from.location+"="+filepath.Join(base, "space"))
		traced := exec.Command(strace, append([]string{"-f", "-y", "-o", trace, "-e", "trace=fsync,syncfs"}, cmd.Args...)...)
		traced.Env = cmd.Env
		b := run(t, traced)
		if strings.Contains(b.stderr.String(), "ptrace") {
			t.Skip("strace may not trace here")
		}
		if b.status() != 0 {
			t.Fatalf("exit status %d", b.status())
		}
		calls, err := os.ReadFile(trace)
		must(t, err)
		files := strings.Contains(string(calls), filepath.Join(dir, "PG_VERSION")+">")
		if systems := strings.Contains(string(calls), "syncfs("); files != want.files || systems != want.systems {
			t.Errorf("%s: files are synchronized: %v, and file systems: %v", method, files, systems)
		}
	}
}

// Directories that others own are used as they are, and parents that cannot be read are
// no obstacle.
func TestMode_OfOthers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make the directories of another user")
	}
	p := postgres.Require(t)
	from := newSample(t)
	s := serve(t, from.dir, "--listen=127.0.0.1:0", "--auth=trust")
	_, rest, _ := strings.Cut(s.stderr.String(), `port `)
	port, _, _ := strings.Cut(rest, "\n")
	base := p.TempDir(t)
	must(t, os.Chmod(base, 0o755))
	built, err := build()
	must(t, err)
	content, err := os.ReadFile(built)
	must(t, err)
	program := filepath.Join(base, "pgparallel")
	must(t, os.WriteFile(program, content, 0o755))
	inside := filepath.Join(base, "in")
	must(t, os.Mkdir(inside, 0o700))
	must(t, os.Chmod(inside, 0o733))
	group, err := os.Stat(p.TempDir(t))
	must(t, err)
	foreign := func(name string) string {
		dir := filepath.Join(base, name)
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.Chown(dir, 0, groupOf(group)))
		must(t, os.Chmod(dir, 0o770|os.ModeSetgid))
		return dir
	}
	for name, args := range map[string][]string{
		"tar":        {"-F", "t", "-D", foreign("tar")},
		"plain":      {"-D", foreign("plain"), "-T", from.location + "=" + foreign("space"), "--waldir", foreign("wal")},
		"parent":     {"-D", inside + "/copy", "-T", from.location + "=" + inside + "/space", "--waldir", inside + "/wal"},
		"parent tar": {"-D", inside + "/tar", "-F", "t"},
	} {
		cmd := p.Command(t.Context(), program, append([]string{"backup", "-h", "127.0.0.1", "-p", port, "-U", "postgres"}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+base)
		said, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
		if wanted := name == "plain"; strings.Contains(string(said), "keeps its mode 0770") != wanted {
			t.Errorf("%s: it said %s", name, said)
		}
	}
	for _, name := range []string{"tar", "plain", "space", "wal"} {
		if info, err := os.Stat(filepath.Join(base, name)); err != nil || info.Mode() != os.ModeDir|os.ModeSetgid|0o770 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
}

func groupOf(info os.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Gid) }
