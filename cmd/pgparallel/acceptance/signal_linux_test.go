package acceptance_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slowly are the options of a backup that is under way until it is ended.
func slowly(more ...string) []string { return append([]string{"-P", "--no-sync", "-r", "32"}, more...) }

// underWay waits until a backup copies files.
func underWay(t *testing.T, b *process) {
	t.Helper()
	if !b.stderr.waitFor("files", b.ended) {
		t.Fatalf("the backup ended: %v", b.cmd.ProcessState)
	}
}

// Each signal that ends a program has the backup clean up, and a second one at once, as
// timeout(1) and a terminal that goes away send it, does not disturb it.
func TestSignal_CleansUp(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	s := serve(t, from.dir)
	for _, signal := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			to := newTarget(t, t.TempDir(), false)
			b := start(t, backup(t, s.socketDir, to.dir, slowly("-T", from.location+"="+to.tablespace)...))
			underWay(t, b)
			b.signal(signal)
			time.Sleep(5 * time.Millisecond)
			b.signal(signal)
			b.wait(t)
			to.checkFailed(t, b, "interrupted by "+unix.SignalName(signal))
		})
	}
}

// The slot of a backup that is ended goes, too; nohup keeps one from being ended.
func TestSignal_HangUp(t *testing.T) {
	t.Parallel()
	c, location := small(t)
	must(t, c.Start(t.Context()))
	t.Cleanup(func() { must(t, c.Close()) })
	s := serve(t, c.Dir, "--cluster="+c.ConnString("postgres"), "--passthrough-superuser=postgres")
	to := newTarget(t, t.TempDir(), false)
	options := []string{"-c", "fast", "-C", "-S", "hangup", "-T", location + "=" + to.tablespace}
	b := start(t, backup(t, s.socketDir, to.dir, slowly(options...)...))
	underWay(t, b)
	b.signal(unix.SIGHUP)
	b.wait(t)
	to.checkFailed(t, b, "interrupted by SIGHUP")
	if slots := sql(t, c, "select count(*) from pg_replication_slots"); slots != "0" {
		t.Errorf("%s replication slots are left", slots)
	}

	cmd := backup(t, s.socketDir, to.dir, append(options, "-P", "-r", "8M")...)
	nohup := exec.Command("sh", append([]string{"-c", `trap "" HUP; exec "$@"`, "sh"}, cmd.Args...)...)
	nohup.Env = cmd.Env
	b = start(t, nohup)
	underWay(t, b)
	b.signal(unix.SIGHUP)
	s.signal(unix.SIGHUP) // nor does it end the server
	b.wait(t)
	if b.status() != 0 {
		t.Errorf("exit status %d of a backup with nohup", b.status())
	}
}

// A second signal more than a second after the first is meant: it ends what the cleanup
// still waits for, a server that does not answer here. SIGHUP never does: a terminal that
// goes away may send several.
func TestSignal_Second(t *testing.T) {
	t.Parallel()
	c, location := small(t)
	must(t, c.Start(t.Context()))
	t.Cleanup(func() { must(t, c.Close()) })
	s := serve(t, c.Dir, "--cluster="+c.ConnString("postgres"), "--passthrough-superuser=postgres")
	to := newTarget(t, t.TempDir(), false)
	b := start(t, backup(t, s.socketDir, to.dir, slowly("-c", "fast", "-C", "-S", "second", "-T", location+"="+to.tablespace)...))
	underWay(t, b)
	s.signal(unix.SIGSTOP) // it will not say that the slot is dropped
	t.Cleanup(func() { s.signal(unix.SIGCONT) })
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGTERM, unix.SIGHUP} {
		b.signal(signal)
		select {
		case <-b.ended:
			t.Fatalf("%v ended the cleanup", signal)
		case <-time.After(600 * time.Millisecond):
		}
	}
	b.signal(unix.SIGTERM)
	select {
	case <-b.ended:
	case <-time.After(3 * time.Second): // the cleanup gives the server ten
		t.Fatal("the second signal has no effect")
	}
	if status := b.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != unix.SIGTERM {
		t.Errorf("it ended by %v", b.cmd.ProcessState)
	}
}

// The terminal that a backup runs in goes away: the kernel sends SIGHUP, and writes fail.
// The backup cleans up. With nohup it goes on, though nobody can read what it says.
func TestSignal_TerminalGoesAway(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	s := serve(t, from.dir)
	for _, nohup := range []bool{false, true} {
		to := newTarget(t, t.TempDir(), false)
		cmd := backup(t, s.socketDir, to.dir, "-v", "-P", "--no-sync", "-r", "6M", "-T", from.location+"="+to.tablespace)
		if nohup {
			environment := cmd.Env
			cmd = exec.Command("sh", append([]string{"-c", `trap "" HUP; exec "$@"`, "sh"}, cmd.Args...)...)
			cmd.Env = environment
		}
		terminal, other := openTerminal(t)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = other, other, other
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		must(t, cmd.Start())
		for lines := bufio.NewScanner(terminal); lines.Scan() && !strings.Contains(lines.Text(), "checkpoint completed"); {
		}
		must(t, other.Close())
		must(t, terminal.Close())
		ended := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		cmd.Wait()
		if !ended.Stop() || (cmd.ProcessState.ExitCode() == 0) != nohup {
			t.Errorf("with nohup (%v): %v", nohup, cmd.ProcessState)
		}
		if !nohup {
			to.checkUntouched(t)
		}
	}
}

// Nobody reads what standard error says: the backup goes on.
func TestPipe_Stderr(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	s := serve(t, from.dir)
	to := newTarget(t, t.TempDir(), false)
	cmd := backup(t, s.socketDir, to.dir, "-P", "-v", "--no-sync", "-T", from.location+"="+to.tablespace)
	read, write, err := os.Pipe()
	must(t, err)
	cmd.Stderr = write
	must(t, cmd.Start())
	write.Close()
	bufio.NewReader(read).ReadString('\n')
	read.Close()
	must(t, cmd.Wait())
	must(t, succeed(t, command(t, "verify", to.dir)).cmd.Err)
}

// A pipe that is full, and that nobody reads, does not keep a signal from ending it.
func TestPipe_StderrIsFull(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	s := serve(t, from.dir)
	to := newTarget(t, t.TempDir(), false)
	cmd := backup(t, s.socketDir, to.dir, slowly("-v", "-T", from.location+"="+to.tablespace)...)
	read, write, err := os.Pipe()
	must(t, err)
	defer read.Close()
	fd := int(write.Fd())
	must(t, unix.SetNonblock(fd, true))
	for err == nil { // fills it to the last byte
		_, err = unix.Write(fd, []byte("x"))
	}
	must(t, unix.SetNonblock(fd, false))
	cmd.Stderr = write
	must(t, cmd.Start())
	write.Close()
	time.Sleep(300 * time.Millisecond)
	must(t, cmd.Process.Signal(unix.SIGINT))
	ended := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	cmd.Wait()
	if !ended.Stop() || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v", cmd.ProcessState)
	}
	to.checkUntouched(t)
}

// Without its report there is no success, and without a reader no need to go on.
func TestPipe_JSON(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	s := serve(t, from.dir)
	to := newTarget(t, t.TempDir(), false)
	cmd := backup(t, s.socketDir, to.dir, slowly("--json", "-T", from.location+"="+to.tablespace)...)
	read, write, err := os.Pipe()
	must(t, err)
	cmd.Stdout = write
	b := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stderr = &b.stderr
	must(t, cmd.Start())
	write.Close()
	bufio.NewReader(read).ReadString('\n')
	read.Close()
	cmd.Wait()
	close(b.ended)
	to.checkFailed(t, b, "could not write to standard output: broken pipe")
}

// What was asked for on standard output, and is not there, decides the exit status.
func TestPipe_FullOutput(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	s := serve(t, from.dir)
	whole := filepath.Join(t.TempDir(), "whole")
	succeed(t, backup(t, s.socketDir, whole, "--no-sync", "-T", from.location+"="+filepath.Join(t.TempDir(), "tbl")))
	to := newTarget(t, t.TempDir(), false)
	mapped := []string{"--no-sync", "-T", from.location + "=" + to.tablespace}
	for name, cmd := range map[string]*exec.Cmd{
		"json":         backup(t, s.socketDir, filepath.Join(t.TempDir(), "kept"), "--no-sync", "--json", "-T", from.location+"="+filepath.Join(t.TempDir(), "tbl")),
		"dry run":      backup(t, s.socketDir, to.dir, append(mapped, "--dry-run")...),
		"dry run json": backup(t, s.socketDir, to.dir, append(mapped, "--dry-run", "--json")...),
		"version":      command(t, "--version"),
		"help":         command(t, "backup", "--help"),
		"cases":        command(t, "conform", "list"),
		"verify":       command(t, "verify", whole),
	} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		must(t, err)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = full, &stderr
		cmd.Run()
		full.Close()
		if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "could not write to standard output: no space left on device") {
			t.Errorf("%s: %v\n%s", name, cmd.ProcessState, stderr.String())
		}
	}
	to.checkUntouched(t)
}

// A limit of file sizes is an error like others.
func TestSignal_FileSize(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	s := serve(t, from.dir)
	to := newTarget(t, t.TempDir(), false)
	cmd := backup(t, s.socketDir, to.dir, "--no-sync", "-T", from.location+"="+to.tablespace)
	limited := exec.Command("sh", append([]string{"-c", `ulimit -f 64; exec "$@"`, "sh"}, cmd.Args...)...)
	limited.Env = cmd.Env
	to.checkFailed(t, run(t, limited), "file too large")
}

// The server outlives the reader of its log.
func TestPipe_ServeLog(t *testing.T) {
	t.Parallel()
	from := newSample(t)
	dir := socketDir(t)
	cmd := command(t, "serve", "-D", from.dir, "-k", dir, "-v")
	read, write, err := os.Pipe()
	must(t, err)
	cmd.Stderr = write
	must(t, cmd.Start())
	defer func() {
		cmd.Process.Signal(unix.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
	}()
	write.Close()
	for lines := bufio.NewScanner(read); lines.Scan() && !strings.Contains(lines.Text(), "ready to serve"); {
	}
	read.Close()
	for range 2 {
		to := newTarget(t, t.TempDir(), false)
		succeed(t, backup(t, dir, to.dir, "--no-sync", "-T", from.location+"="+to.tablespace))
	}
}

// ^C at the prompt for a password ends the program, and the terminal shows what is
// typed again.
func TestSignal_PasswordPrompt(t *testing.T) {
	t.Parallel()
	terminal, other := openTerminal(t)
	cmd := command(t, "backup", "-D", filepath.Join(t.TempDir(), "copy"), "-h", t.TempDir(), "-W")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = other, other, other
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	before := termios(t, other)
	must(t, cmd.Start())
	if _, err := io.ReadFull(terminal, make([]byte, len("Password: "))); err != nil {
		t.Fatal(err)
	}
	for termios(t, other).Lflag&unix.ECHO != 0 {
		time.Sleep(time.Millisecond) // the prompt is there a moment before the echo goes
	}
	_, err := terminal.Write([]byte{3}) // ^C
	must(t, err)
	cmd.Wait()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("%v", cmd.ProcessState)
	}
	if after := termios(t, other); *after != *before {
		t.Errorf("the terminal is %+v, was %+v", after, before)
	}
}

// openTerminal makes a terminal, of which the second is what a program has.
func openTerminal(t *testing.T) (terminal, other *os.File) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("cannot make a terminal: %v", err)
	}
	t.Cleanup(func() { terminal.Close() })
	must(t, unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	must(t, err)
	other, err = os.OpenFile(filepath.Join("/dev/pts", strconv.Itoa(number)), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { other.Close() })
	return terminal, other
}

func termios(t *testing.T, terminal *os.File) *unix.Termios {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	must(t, err)
	return state
}
