package main

import "testing"

const mounts = `/dev/vda / ext4 rw,relatime 0 0
tmpfs /dev/shm tmpfs rw,relatime,size=24683656k 0 0
tmpfs /mnt/huge tmpfs rw,huge=always 0 0
tmpfs /mnt/never tmpfs rw,huge=never 0 0
tmpfs /mnt/with\040blank tmpfs rw,huge=within_size 0 0
/dev/loop0 /mnt/x xfs rw 0 0
tmpfs /mnt/x tmpfs rw 0 0
`

func TestFilesystemOf(t *testing.T) {
	for path, want := range map[string]string{
		"/": "ext4", "/var/tmp": "ext4", "/dev/shm": "tmpfs", "/dev/shm/a/b": "tmpfs", "/dev/shmx": "ext4",
		"/mnt/huge/a": "tmpfs huge=always", "/mnt/never": "tmpfs", "/mnt/with blank/x": "tmpfs huge=within_size",
		"/mnt/x/y": "tmpfs", // it hides the one below
	} {
		if got := filesystemOf(mounts, path).String(); got != want {
			t.Errorf("%s is on %q, want %q", path, got, want)
		}
	}
}

func TestCheckSmallFiles(t *testing.T) {
	const usual = "always within_size advise [never] deny force\n"
	for _, test := range []struct {
		path, shmem string
		refused     bool
	}{
		{"/", usual, false},
		{"/dev/shm", usual, false},
		{"/dev/shm", "[always] within_size advise never deny force", false}, // that is for memory without a mount
		{"/mnt/never", usual, false},
		{"/mnt/with blank", usual, false}, // a small file gets no huge page there
		{"/mnt/huge", usual, true},
		{"/mnt/huge", "always within_size advise never [deny] force", false},
		{"/dev/shm", "always within_size advise never deny [force]", true},
		{"/", "always within_size advise never deny [force]", false},
	} {
		if err := filesystemOf(mounts, test.path).checkSmallFiles(test.shmem); (err != nil) != test.refused {
			t.Errorf("%s with %q: %v, want it refused: %v", test.path, test.shmem, err, test.refused)
		}
	}
}
