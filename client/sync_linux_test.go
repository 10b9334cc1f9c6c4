package client

import "testing"

func TestAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.2-cloud": true, "5.8.0": true, "5.10.0-28-amd64": true, "5.7.19": false, "4.18.0-553.el8.x86_64": false, "": false, "x.y": false,
	} {
		if got := atLeast(release, 5, 8); got != want {
			t.Errorf("%q is at least 5.8: %v, want %v", release, got, want)
		}
	}
}
