package client_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/pgparallel/pgparallel/client"
)

func TestMain(m *testing.M) {
	if client.RunKilledBackup() {
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
