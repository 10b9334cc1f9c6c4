package main

import (
	"testing"

	"github.com/pgparallel/pgparallel/walsender/conformance"
)

func TestConformance(t *testing.T) { conformance.Run(t, backUp) }
