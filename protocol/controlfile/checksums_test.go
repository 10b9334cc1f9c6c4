package controlfile

import "testing"

func TestVerifiesPages_4_6(t *testing.T) {
	for _, test := range []struct {
		change       func(*Control)
		littleEndian bool
		verifies     bool
		warning      string
	}{
		{func(*Control) {}, true, true, ""},
		{func(c *Control) { c.DataChecksumVersion = 0 }, true, false, ""},
		{func(c *Control) { c.DataChecksumVersion = 0 }, false, false, ""},
		{func(c *Control) { c.DataChecksumVersion = 2 }, true, false,
			"page checksums are not verified: their state in pg_control is 2, neither off nor on"},
		{func(c *Control) { c.BlockSize = 16384 }, true, false,
			"page checksums are not verified: the cluster's block size is 16384 bytes, not 8192"},
		{func(*Control) {}, false, false, "page checksums are not verified: this machine is big-endian"},
	} {
		c := validControl()
		test.change(&c)
		verifies, warning := c.verifiesPages(test.littleEndian)
		got := ""
		if warning != nil {
			got = warning.Message
		}
		if verifies != test.verifies || got != test.warning {
			t.Errorf("verifies %v, warning %q, expected %v, %q", verifies, got, test.verifies, test.warning)
		}
	}
}
