package sharedstate_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
)

// The leader starts a backup, another session joins it and sends a file.
func Example() {
	table := sharedstate.NewTable(10)
	leader, err := table.Start(sharedstate.Request{Owner: "backup", Directory: "2049:131:7300000000000000001"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer leader.Abort() // does nothing after End
	if err := leader.Started(protocol.StartPoint{StartPtr: 0x2000028, Timeline: 1}, false); err != nil {
		fmt.Println(err)
		return
	}

	worker, err := table.Join(leader.ID, "backup", "2049:131:7300000000000000001")
	if err != nil {
		fmt.Println(err)
		return
	}
	end, err := worker.BeginFile(sharedstate.DataFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	if refused, ok := errors.AsType[*protocol.Error](leader.Stop()); ok {
		fmt.Println(refused.Code, "while a file is on its way")
	}
	if err := worker.Throttle(context.Background(), 8192); err != nil {
		fmt.Println(err)
		return
	}
	end(true)
	worker.Leave()

	if err := leader.Stop(); err != nil {
		fmt.Println(err)
		return
	}
	leader.End()
	counters := leader.Counters()
	fmt.Println(counters.FilesSent, "file,", counters.BytesSent, "bytes,", len(table.Backups()), "backups left")
	// Output:
	// 55006 while a file is on its way
	// 1 file, 8192 bytes, 0 backups left
}
