package datatree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// twoBackups are a directory with the old backup, and one beside it with the new one.
func twoBackups(t *testing.T) (beside, place string) {
	t.Helper()
	place = filepath.Join(t.TempDir(), "copy")
	beside = place + besideSuffix
	for dir, which := range map[string]string{place: "old", beside: "new"} {
		outputtest.Must(t, os.Mkdir(dir, 0o700))
		outputtest.Must(t, os.WriteFile(filepath.Join(dir, "which"), []byte(which), 0o600))
	}
	return beside, place
}

// checkPlaces makes sure which backup is where, and that there is no third directory.
func checkPlaces(t *testing.T, place, atPlace, atBeside string) {
	t.Helper()
	if got := outputtest.Read(t, filepath.Join(place, "which")); got != atPlace {
		t.Errorf("the %s backup is in its place, want the %s one", got, atPlace)
	}
	if got := outputtest.Read(t, filepath.Join(place+besideSuffix, "which")); got != atBeside {
		t.Errorf("the %s backup is beside it, want the %s one", got, atBeside)
	}
	if _, err := os.Lstat(place + asideSuffix); !isAbsent(err) {
		t.Errorf("there is a third directory: %v", err)
	}
}

func TestExchange(t *testing.T) {
	for name, do := range map[string]func(from, to string) error{
		"as this system can": exchange,
		"in steps":           func(from, to string) error { return exchangeInSteps(from, to, os.Rename) },
	} {
		t.Run(name, func(t *testing.T) {
			beside, place := twoBackups(t)
			outputtest.Must(t, do(beside, place))
			checkPlaces(t, place, "new", "old")
		})
	}
}

// Whichever of the renames a refresh is killed ahead of, the next one finds a whole backup in the
// place, and the other beside it. What holds neither is refused in the words for any directory.
func TestExchange_InSteps_Killed(t *testing.T) {
	for n, want := range [][2]string{{"old", "new"}, {"new", "old"}, {"new", "old"}, {"new", "old"}} {
		t.Run(fmt.Sprintf("behind %d renames", n), func(t *testing.T) {
			beside, place := twoBackups(t)
			killed, done := errors.New("killed"), 0
			func() {
				defer func() { recover() }()
				outputtest.Must(t, exchangeInSteps(beside, place, func(from, to string) error {
					if done == n {
						panic(killed)
					}
					done++
					return os.Rename(from, to)
				}))
			}()
			if done != n {
				t.Fatalf("%d renames, want %d", done, n)
			}
			_, err := NewRefresh(Config{Dir: place, NoSync: true, Log: outputtest.Log(t)}, false)
			if !errors.Is(err, ErrNotEmpty) { // there is no manifest
				t.Errorf("error is %v", err)
			}
			checkPlaces(t, place, want[0], want[1])
		})
	}
}

// A rename that fails leaves both where they were.
func TestExchange_InSteps_Failed(t *testing.T) {
	for n := range 3 {
		beside, place := twoBackups(t)
		failure, done := errors.New("no"), 0
		err := exchangeInSteps(beside, place, func(from, to string) error {
			if done++; done == n+1 {
				return failure
			}
			return os.Rename(from, to)
		})
		if !errors.Is(err, failure) {
			t.Errorf("rename %d fails: error is %v", n, err)
		}
		checkPlaces(t, place, "old", "new")
	}
}

// A server that is started from the old backup in the very moment of the exchange keeps it, in its
// place, and the new backup is none.
func TestSwitchOver_StartedMeanwhile(t *testing.T) {
	beside, place := twoBackups(t)
	for _, dir := range []string{beside, place} {
		outputtest.Must(t, os.Mkdir(filepath.Join(dir, "global"), 0o700))
		outputtest.Must(t, os.WriteFile(filepath.Join(dir, output.ControlFile), []byte("control"), 0o600))
	}
	root, err := os.OpenRoot(place)
	outputtest.Must(t, err)
	defer root.Close()
	started := false
	r := &Refresh{
		Tree: &Tree{Config: Config{Dir: beside, NoSync: true, Log: outputtest.Log(t)}}, place: place,
		old: &finished{path: place, root: root, content: []byte("control"), manifest: &manifest.Manifest{}},
		exchange: func(from, to string) error {
			if !started {
				started = true
				outputtest.Must(t, os.WriteFile(filepath.Join(place, "postmaster.pid"), nil, 0o600))
			}
			return exchange(from, to)
		},
	}
	if err := r.switchOver(); !errors.Is(err, ErrStarted) {
		t.Errorf("error is %v", err)
	}
	checkPlaces(t, place, "old", "new")
	for path, want := range map[string]bool{
		filepath.Join(place, output.ControlFile): true, filepath.Join(place, "postmaster.pid"): true,
		filepath.Join(beside, output.ControlFile): false, filepath.Join(beside, output.MarkerFile): true,
	} {
		if _, err := os.Lstat(path); isAbsent(err) == want {
			t.Errorf("%s: %v", path, err)
		}
	}
}
