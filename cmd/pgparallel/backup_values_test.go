package main

import (
	"encoding"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

func TestTransferRate(t *testing.T) {
	for _, c := range []struct {
		text string
		rate transferRate
		err  string
	}{
		{text: "32", rate: 32},
		{text: "32k", rate: 32},
		{text: " 100 k ", rate: 100},
		{text: "1M", rate: 1024},
		{text: "1.5M", rate: 1536},
		{text: "1024M", rate: 1 << 20},
		{text: "1048576", rate: 1 << 20},
		{text: "31", err: `transfer rate "31" is out of range (32k to 1024M)`},
		{text: "31.9", err: `transfer rate "31.9" is out of range (32k to 1024M)`},
		{text: "1025M", err: `transfer rate "1025M" is out of range (32k to 1024M)`},
		{text: "1048577", err: `transfer rate "1048577" is out of range (32k to 1024M)`},
		{text: "0", err: "transfer rate must be greater than zero"},
		{text: "-5", err: "transfer rate must be greater than zero"},
		{text: "", err: `transfer rate "" is not a valid value`},
		{text: "fast", err: `transfer rate "fast" is not a valid value`},
		{text: "1e999", err: `transfer rate "1e999" is not a valid value`},
		{text: "NaN", err: `transfer rate "NaN" is not a valid value`},
		{text: "10G", err: `invalid --max-rate unit: "G"`},
		{text: "10K", err: `invalid --max-rate unit: "K"`},
		{text: "10 kB", err: `invalid --max-rate unit: "kB"`},
	} {
		var rate transferRate
		checkOption(t, c.text, &rate, c.err)
		if rate != c.rate {
			t.Errorf("%q: got %d, want %d", c.text, rate, c.rate)
		}
	}
}

func TestTablespaceMapping(t *testing.T) {
	for _, c := range []struct {
		text     string
		old, new string
		err      string
	}{
		{text: "/a=/b", old: "/a", new: "/b"},
		{text: `/a\=b=/c\=d`, old: "/a=b", new: "/c=d"},
		{text: `/a\b=/c\`, old: `/a\b`, new: `/c\`},
		{text: "/a/../b/=/c/../d", old: "/a/../b/", new: "/c/../d"}, // where they are is the client's to say
		{text: "/with space,comma=/ä", old: "/with space,comma", new: "/ä"},
		{text: "/a", err: `invalid tablespace mapping format "/a", must be "OLDDIR=NEWDIR"`},
		{text: "=/b", err: `invalid tablespace mapping format "=/b", must be "OLDDIR=NEWDIR"`},
		{text: "/a=", err: `invalid tablespace mapping format "/a=", must be "OLDDIR=NEWDIR"`},
		{text: "", err: `invalid tablespace mapping format "", must be "OLDDIR=NEWDIR"`},
		{text: "/a=/b=/c", err: `multiple "=" signs in tablespace mapping`},
	} {
		var m tablespaceMapping
		checkOption(t, c.text, &m, c.err)
		if c.err == "" && m != (tablespaceMapping{c.old, c.new}) {
			t.Errorf("%q: got %q and %q", c.text, m.old, m.new)
		}
	}
}

func TestTablespaceMap_Twice(t *testing.T) {
	if _, err := tablespaceMap([]tablespaceMapping{{"/a", "/b"}, {"/a", "/b"}}); err != nil {
		t.Errorf("the same mapping twice: %v", err)
	}
	if _, err := tablespaceMap([]tablespaceMapping{{"/a", "/b"}, {"/a", "/c"}}); err == nil {
		t.Error("no error for two directories for one tablespace")
	}
}

func TestChoices(t *testing.T) {
	for _, c := range []struct {
		text string
		into encoding.TextUnmarshaler
		want encoding.TextUnmarshaler
		err  string
	}{
		{"fast", &checkpointMode{}, &checkpointMode{fast: true}, ""},
		{"Spread", &checkpointMode{}, &checkpointMode{}, ""},
		{"slow", &checkpointMode{}, nil, `invalid checkpoint argument "slow", must be "fast" or "spread"`},
		{"none", &walMethod{}, &walMethod{client.WALNone}, ""},
		{"n", &walMethod{}, &walMethod{client.WALNone}, ""},
		{"fetch", &walMethod{}, &walMethod{client.WALFetch}, ""},
		{"f", &walMethod{}, &walMethod{client.WALFetch}, ""},
		{"stream", &walMethod{}, &walMethod{client.WALStream}, ""},
		{"s", &walMethod{}, &walMethod{client.WALStream}, ""},
		{"copy", &walMethod{}, nil, `invalid wal-method option "copy", must be "fetch", "stream", or "none"`},
		{"sha256", &checksumAlgorithm{}, &checksumAlgorithm{manifest.ChecksumSHA256}, ""},
		{"None", &checksumAlgorithm{}, &checksumAlgorithm{manifest.ChecksumNone}, ""},
		{"md5", &checksumAlgorithm{}, nil, `unrecognized checksum algorithm: "md5"`},
	} {
		checkOption(t, c.text, c.into, c.err)
		if c.want != nil && !cmp.Equal(c.into, c.want, cmp.AllowUnexported(checkpointMode{}, walMethod{}, checksumAlgorithm{})) {
			t.Errorf("%q: got %v, want %v", c.text, c.into, c.want)
		}
	}
}

// checkOption parses the value of an option and compares the message.
func checkOption(t *testing.T, text string, into encoding.TextUnmarshaler, message string) {
	t.Helper()
	err := into.UnmarshalText([]byte(text))
	switch usage, ok := err.(*usageError); {
	case err == nil && message != "":
		t.Errorf("%q: no error, want %s", text, message)
	case err != nil && (!ok || usage.text != message):
		t.Errorf("%q: got error %v, want %q", text, err, message)
	}
}
