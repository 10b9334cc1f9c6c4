package protocol_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/internal/protocoltest"
)

func TestSettingsShow_4_9(t *testing.T) {
	s := protocol.Settings{
		ServerVersion: "15", ServerVersionNum: 150000, WALSegmentSize: 16 << 20, BlockSize: 8192,
		DataChecksums: true, DataDirectoryMode: 0o750, WALLevel: "logical",
	}
	want := map[string]string{
		"server_version": "15", "server_version_num": "150000", "wal_segment_size": "16MB", "block_size": "8192",
		"data_checksums": "on", "data_directory_mode": "0750", "in_hot_standby": "off",
		"wal_level": "logical",
	}
	got := map[string]string{}
	for name := range want {
		value, known := s.Show(name)
		if !known {
			t.Errorf("%s is unknown", name)
		}
		got[name] = value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, known := s.Show("max_wal_senders"); known {
		t.Error("max_wal_senders is known")
	}
	if _, known := (protocol.Settings{}).Show("wal_level"); known {
		t.Error("a wal_level that is not known is told")
	}
}

func TestWALSegmentSize(t *testing.T) {
	for _, size := range segmentSizes() {
		text, _ := protocol.Settings{WALSegmentSize: size}.Show("wal_segment_size")
		if got, err := protocol.ParseWALSegmentSize(text); err != nil || got != size {
			t.Errorf("ParseWALSegmentSize(%q) = %d, %v; want %d", text, got, err, size)
		}
	}
	for _, text := range []string{"", "16", "MB", "0MB", "-16MB", "+16MB", "16 MB", "16MB ", "16MB x", "16kB", "3MB", "2GB", "2048MB", "16777216", "1_6MB"} {
		_, err := protocol.ParseWALSegmentSize(text)
		protocoltest.WantText(t, text, err, `unexpected wal_segment_size "`+text+`"`)
	}
}

func TestParseDataDirectoryMode(t *testing.T) {
	for text, want := range map[string]uint32{"0700": 0o700, "0750": 0o750} {
		if got, err := protocol.ParseDataDirectoryMode(text); err != nil || uint32(got) != want {
			t.Errorf("ParseDataDirectoryMode(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0777", "0755", "488", "x", "-0700"} {
		_, err := protocol.ParseDataDirectoryMode(text)
		protocoltest.WantText(t, text, err, `unexpected data_directory_mode "`+text+`"`)
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add("16MB")
	f.Add("0750")
	f.Fuzz(func(t *testing.T, text string) {
		if size, err := protocol.ParseWALSegmentSize(text); err == nil && (size < 1<<20 || size > 1<<30) {
			t.Errorf("ParseWALSegmentSize(%q) = %d", text, size)
		}
		protocol.ParseDataDirectoryMode(text)
	})
}
