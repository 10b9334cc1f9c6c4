package grammar

import "testing"

func BenchmarkParse(b *testing.B) {
	texts := map[string]string{
		"SEND_FILE":    "SEND_FILE ('base/16384/1259_fsm')",
		"START_BACKUP": "START_BACKUP LABEL 'nightly' FAST MAX_RATE 102400",
	}
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
