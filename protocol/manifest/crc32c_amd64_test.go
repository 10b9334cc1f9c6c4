//go:build !purego

package manifest

import (
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"testing"
)

// remainder is x^n modulo the polynomial. The highest bit is the coefficient of x^0.
func remainder(n int) uint32 {
	v := uint32(1) << 31
	for range n {
		low := v & 1
		if v >>= 1; low != 0 {
			v ^= crc32.Castagnoli
		}
	}
	return v
}

// TestUpdateCRC32C_Constants computes the constants of the assembly anew.
func TestUpdateCRC32C_Constants(t *testing.T) {
	text, err := os.ReadFile("crc32c_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	const part = 8 * 16 * crc32cSteps // bits
	for name, power := range map[string]int{
		"by512<>+0": 512 + 31, "by512<>+8": 512 - 33,
		"by128<>+0": 128 + 31, "by128<>+8": 128 - 33,
		"byParts<>+0": 3*part - 33, "byParts<>+8": 2*part - 33, "byParts<>+16": part - 33,
	} {
		line := fmt.Sprintf("DATA %s(SB)/8, $0x%08X\n", name, remainder(power))
		if !strings.Contains(string(text), line) {
			t.Errorf("there is no line %q", line)
		}
	}
	if define := fmt.Sprintf("#define STEPS %d\n", crc32cSteps); !strings.Contains(string(text), define) {
		t.Errorf("there is no line %q", define)
	}
}
