package main

import (
	"testing"

	"github.com/pgparallel/pgparallel/walsender/conformance"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
)

// TestConformance is one case of each area, for every day.
func TestConformance(t *testing.T) { conformance.Run(t, backUp, "*/001") }

// TestConformance_Long is the whole kit.
func TestConformance_Long(t *testing.T) {
	longtest.Mark(t)
	conformance.Run(t, backUp)
}
