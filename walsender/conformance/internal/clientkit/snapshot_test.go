package clientkit

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSnapshot_Difference(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(dir string) error
		want   string
	}{
		{"nothing", func(string) error { return nil }, ""},
		{"file", func(dir string) error { return os.WriteFile(dir+"/new", nil, 0o600) }, "new was left behind"},
		{"files", func(dir string) error { return os.MkdirAll(dir+"/new/er/still", 0o700) }, "new and 2 more were left behind"},
		{"mode", func(dir string) error { return os.Chmod(dir+"/there", 0o755) }, "there has the mode drwxr-xr-x, which was drwx------"},
		{"content", func(dir string) error { return os.WriteFile(dir+"/there/file", []byte("y"), 0o600) }, "there/file has other contents"},
		{"gone", func(dir string) error { return os.RemoveAll(dir + "/there/file") }, "there/file is gone"},
		{"link", func(dir string) error {
			return os.Rename(dir+"/link", dir+"/other")
		}, "other was left behind"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, err := range []error{
				os.Mkdir(filepath.Join(dir, "there"), 0o700),
				os.WriteFile(filepath.Join(dir, "there/file"), []byte("x"), 0o600),
				os.Symlink("nowhere", filepath.Join(dir, "link")),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			before, err := takeSnapshot(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := test.change(dir); err != nil {
				t.Fatal(err)
			}
			after, err := takeSnapshot(dir)
			if err != nil {
				t.Fatal(err)
			}
			if got := after.difference(before); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
