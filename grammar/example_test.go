package grammar_test

import (
	"errors"
	"fmt"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

func Example() {
	c, err := grammar.Parse("start_backup fast label 'Bob''s'")
	if err != nil {
		fmt.Println(err)
		return
	}
	if c, ok := c.(grammar.StartBackup); ok {
		fmt.Printf("%s, label %s\n", c, c.Label)
	}

	_, err = grammar.Parse("STOP_BACKUP NOW")
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		fmt.Printf("%s at character %d\n", e.Message, e.Position)
	}
	// Output:
	// START_BACKUP LABEL 'Bob''s' FAST, label Bob's
	// syntax error at or near "NOW" at character 13
}
