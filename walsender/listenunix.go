package walsender

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// maxSocketPath is the longest name of a unix socket, in bytes.
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1

// ErrSocketInUse is wrapped in the error of [ListenUnix] when another server, live,
// has the socket.
var ErrSocketInUse = errors.New("another server is using it")

// ListenUnix listens on the unix socket by which libpq finds a server: .s.PGSQL.PORT
// in the directory. Only this process's OS user can connect to it (mode 0600). The
// listener's Close removes it.
//
// As PostgreSQL does, it keeps a lock file beside the socket, with this process's
// id in its first line, and holds a lock (flock) on it besides. What a killed server
// left is taken over; where a live one listens, also a PostgreSQL, the error wraps
// [ErrSocketInUse].
func ListenUnix(dir string, port int) (net.Listener, error) {
	return ListenUnixMode(dir, port, 0o600)
}

// ListenUnixMode is [ListenUnix] for others than this process's OS user: mode is that of the
// socket, as PostgreSQL's unix_socket_permissions. Its bits for writing say who can connect.
// The server then needs an [Authenticator].
func ListenUnixMode(dir string, port int, mode fs.FileMode) (net.Listener, error) {
	path := filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port))
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("unix-domain socket path %q is too long (maximum %d bytes)", path, maxSocketPath)
	}
	lock, err := lockSocket(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("could not listen in socket directory %q: %w", dir, unix.ENOENT)
	}
	if err != nil {
		return nil, fmt.Errorf("could not listen on unix socket %q: %w", path, err)
	}
	listener, err := bindPrivately(dir, path, mode)
	if err != nil {
		os.Remove(lock.Name())
		lock.Close()
		return nil, fmt.Errorf("could not listen on unix socket %q: %w", path, err)
	}
	return &unixListener{Listener: listener, path: path, lock: lock}, nil
}

// lockSocket takes the lock file and removes a dead server's socket.
func lockSocket(path string) (*os.File, error) {
	// In a directory like /tmp the name may be a link that somebody has laid.
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if err := claim(lock, path); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

func claim(lock *os.File, path string) error {
	if err := checkOurs(lock); err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrSocketInUse
		}
		return err
	}
	// The one who had the lock may have removed the file while we waited for it.
	if same, err := sameFile(lock); err != nil || !same {
		return errors.Join(ErrSocketInUse, err)
	}
	// PostgreSQL does not lock its file, but it answers.
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return ErrSocketInUse
	} else if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// checkOurs refuses a lock file that is not ours to write to.
func checkOurs(lock *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(lock.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("lock file %q is not a file of this user", lock.Name())
	}
	return nil
}

func sameFile(f *os.File) (bool, error) {
	opened, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(f.Name())
	if err != nil {
		return false, err
	}
	return os.SameFile(opened, named), nil
}

// bindPrivately makes the socket in a directory that only we can enter and moves
// it to its place with its mode set: nobody else can connect in between.
func bindPrivately(dir, path string, mode fs.FileMode) (net.Listener, error) {
	private, err := os.MkdirTemp(dir, ".s.")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(private, "s"), Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	err = os.Chmod(filepath.Join(private, "s"), mode.Perm())
	if err == nil {
		err = os.Rename(filepath.Join(private, "s"), path)
	}
	if err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// unixListener removes its socket and its lock file when it is closed.
type unixListener struct {
	net.Listener
	path string
	lock *os.File
	once sync.Once
}

// Addr is the path of the socket where clients find it.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close stops listening. The socket goes first and the lock last, so that nobody
// who takes the lock finds our socket.
func (l *unixListener) Close() error {
	err := l.Listener.Close()
	l.once.Do(func() {
		err = errors.Join(err, os.Remove(l.path), os.Remove(l.lock.Name()), l.lock.Close())
	})
	return err
}
