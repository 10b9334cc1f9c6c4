package walsender_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pgparallel/pgparallel/walsender"
)

// slowReader takes a second for each piece, as a disk may that others use.
type slowReader struct{ io.Reader }

func (r slowReader) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return r.Reader.Read(p)
}

// slowCluster has one large file, base/1/big, which is read slowly.
func slowCluster() *memCluster {
	cluster := newMemCluster()
	cluster.reading = func(name string, r io.Reader) io.Reader {
		if name == "base/1/big" {
			return slowReader{r}
		}
		return r
	}
	return cluster
}

// digestCommands ask for the digest of base/1/big.
var digestCommands = []string{"LIST_FILES CHECKSUM 'CRC32C'", "FILE_DIGESTS ('base/1/big') CHECKSUM 'SHA256'"}

// TestDigests_8_3_SaysThatItWorks waits for a digest of minutes, and hears of the server all
// along.
func TestDigests_8_3_SaysThatItWorks(t *testing.T) {
	for _, command := range digestCommands {
		t.Run(command, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &walsender.Server{Cluster: slowCluster()}
				c := pipedFrom(t, server, "127.0.0.1")
				c.startup(map[string]string{"user": "backup", "replication": "true"})
				c.query("START_BACKUP")
				c.Send(command)
				began, last, signs := time.Now(), time.Now(), 0
				for message := ""; !strings.HasPrefix(message, "ReadyForQuery"); last = time.Now() {
					message = c.message()
					if silent := time.Since(last); silent > 11*time.Second {
						t.Errorf("%v of silence before %s", silent, message)
					}
					if strings.HasPrefix(message, "ErrorResponse") {
						t.Fatal(message)
					}
					if strings.Contains(message, "parallel_backup_protocol") {
						signs++
					}
				}
				if took := time.Since(began); signs == 0 || took < time.Minute {
					t.Errorf("%d signs of life in %v", signs, took)
				}
				server.Close()
				synctest.Wait()
			})
		})
	}
}

// TestDigests_8_3_EndWithTheBackup has the leader leave in the middle of a digest that another
// session waits for.
func TestDigests_8_3_EndWithTheBackup(t *testing.T) {
	for _, command := range digestCommands {
		t.Run(command, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &walsender.Server{Cluster: slowCluster()}
				leader, worker := pipedFrom(t, server, "127.0.0.1"), pipedFrom(t, server, "127.0.0.1")
				for _, c := range []*rawClient{leader, worker} {
					c.startup(map[string]string{"user": "backup", "replication": "true"})
				}
				started := strings.Join(leader.query("START_BACKUP"), "\n")
				id := started[strings.Index(started, "DataRow"):]
				id = id[:strings.IndexByte(id, '\n')]
				id = strings.Trim(id[strings.LastIndexByte(id, ' '):], ` ")`)
				worker.query(fmt.Sprintf("JOIN_BACKUP '%s'", id))
				worker.Send(command)
				time.Sleep(5 * time.Second)
				began := time.Now()
				leader.Conn.Close()
				answer := worker.answer()
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("the command went on for %v", took)
				}
				if !slices.ContainsFunc(answer, func(m string) bool { return strings.HasPrefix(m, "ErrorResponse") }) {
					t.Errorf("the answer is %q", answer)
				}
				server.Close()
				synctest.Wait()
			})
		})
	}
}
