package manifest_test

import (
	"encoding"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol/internal/protocoltest"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

var _ encoding.TextUnmarshaler = new(manifest.ChecksumAlgorithm)

func TestChecksum(t *testing.T) {
	for _, test := range []struct {
		algorithm manifest.ChecksumAlgorithm
		name, abc string
	}{
		{manifest.ChecksumCRC32C, "CRC32C", "b73f4b36"},
		{manifest.ChecksumSHA224, "SHA224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"},
		{manifest.ChecksumSHA256, "SHA256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{manifest.ChecksumSHA384, "SHA384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"},
		{manifest.ChecksumSHA512, "SHA512", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
		{manifest.ChecksumNone, "NONE", ""},
	} {
		if got := test.algorithm.String(); got != test.name {
			t.Errorf("String() = %q, want %q", got, test.name)
		}
		for _, name := range []string{test.name, strings.ToLower(test.name)} {
			if got, err := manifest.ParseChecksumAlgorithm(name); err != nil || got != test.algorithm {
				t.Errorf("ParseChecksumAlgorithm(%q) = %v, %v", name, got, err)
			}
		}
		h := test.algorithm.New()
		if h == nil {
			if test.algorithm != manifest.ChecksumNone {
				t.Errorf("%v has no hash", test.algorithm)
			}
			continue
		}
		h.Write([]byte("abc"))
		if got := hex.EncodeToString(h.Sum(nil)); got != test.abc {
			t.Errorf("%v of abc is %s, want %s", test.algorithm, got, test.abc)
		}
	}
	if manifest.ChecksumAlgorithm(0) != manifest.ChecksumCRC32C {
		t.Error("the zero value is not CRC32C")
	}
	if manifest.ChecksumAlgorithm(99).New() != nil {
		t.Error("an unknown algorithm has a hash")
	}
}

// XXH128 compares files, and no manifest has it. The sum is that of xxhsum -H2.
func TestParseDigestAlgorithm(t *testing.T) {
	a, err := manifest.ParseDigestAlgorithm("xxh128")
	if err != nil || a != manifest.ChecksumXXH128 {
		t.Fatalf("xxh128: %v, %v", a, err)
	}
	h := a.New()
	h.Write([]byte("abc"))
	if got := hex.EncodeToString(h.Sum(nil)); got != "06b05ab6733a618578af5f94892f3950" || len(got) != 2*a.Size() {
		t.Errorf("XXH128 of abc is %s", got)
	}
	if a, err := manifest.ParseDigestAlgorithm("sha256"); err != nil || a != manifest.ChecksumSHA256 {
		t.Errorf("sha256: %v, %v", a, err)
	}
	if _, err := manifest.ParseChecksumAlgorithm("XXH128"); err == nil {
		t.Error("a manifest can have XXH128")
	}
}

// A manifest has the CRC's bytes as they lie in memory: least significant first.
func TestChecksumCRC32COfNothing(t *testing.T) {
	if got := hex.EncodeToString(manifest.ChecksumCRC32C.New().Sum(nil)); got != "00000000" {
		t.Errorf("CRC32C of nothing is %s", got)
	}
}

func TestChecksumUnmarshalText(t *testing.T) {
	a := manifest.ChecksumSHA256
	protocoltest.WantText(t, "MD5", a.UnmarshalText([]byte("MD5")), `unrecognized checksum algorithm: "MD5"`)
	if a != manifest.ChecksumSHA256 {
		t.Errorf("a failed UnmarshalText leaves %v", a)
	}
	if err := a.UnmarshalText([]byte("Sha512")); err != nil || a != manifest.ChecksumSHA512 {
		t.Errorf("UnmarshalText(Sha512) = %v, %v", a, err)
	}
}

func FuzzParseChecksumAlgorithm(f *testing.F) {
	f.Add("crc32c")
	f.Fuzz(func(t *testing.T, name string) {
		a, err := manifest.ParseChecksumAlgorithm(name)
		if err == nil && !strings.EqualFold(a.String(), name) {
			t.Errorf("%q is %v", name, a)
		}
	})
}
