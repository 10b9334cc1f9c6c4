package protocol_test

import (
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/internal/protocoltest"
	"pgregory.net/rapid"
)

func TestLSNRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := protocol.LSN(rapid.Uint64().Draw(t, "lsn"))
		got, err := protocol.ParseLSN(want.String())
		if err != nil || got != want {
			t.Fatalf("ParseLSN(%q) = %v, %v", want.String(), got, err)
		}
	})
}

func TestParseLSN(t *testing.T) {
	for text, want := range map[string]protocol.LSN{
		"0/0":               0,
		"16/B374D848":       0x16B374D848,
		"16/b374d848":       0x16B374D848,
		"00000001/00000002": 0x100000002,
		"FFFFFFFF/FFFFFFFF": 1<<64 - 1,
	} {
		if got, err := protocol.ParseLSN(text); err != nil || got != want {
			t.Errorf("ParseLSN(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "/", "0", "0/", "/0", "0/0/0", "+1/0", "-1/0", "0x1/0", " 0/0", "0/0 ", "0/G", "1_0/0", "000000001/0", "0/100000000"} {
		_, err := protocol.ParseLSN(text)
		protocoltest.WantError(t, text, err, protocol.Error{
			Severity: "ERROR", Code: "22P02",
			Message: `could not parse write-ahead log location "` + text + `"`,
		})
	}
}

func TestLSNText_2_3(t *testing.T) {
	for major, want := range map[int]string{0: "16/374D848", 13: "16/374D848", 18: "16/374D848", 19: "16/0374D848", 20: "16/0374D848"} {
		if got := protocol.LSN(0x160374D848).Text(major); got != want {
			t.Errorf("PostgreSQL %d prints %s, want %s", major, got, want)
		}
	}
}

func FuzzParseLSN(f *testing.F) {
	f.Add("16/B374D848")
	f.Fuzz(func(t *testing.T, text string) {
		lsn, err := protocol.ParseLSN(text)
		if err != nil {
			return
		}
		if again, err := protocol.ParseLSN(lsn.String()); err != nil || again != lsn {
			t.Errorf("%q is %v, and that is %v, %v", text, lsn, again, err)
		}
	})
}
