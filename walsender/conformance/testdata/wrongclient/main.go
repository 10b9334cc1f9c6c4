// Wrongclient is a small backup client that is right, unless -wrong names something
// that it does wrong. It shows that the kit notices. -list prints all the names.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	b := &backup{spaces: map[string]string{}}
	flag.StringVar(&b.host, "h", "127.0.0.1", "host")
	flag.StringVar(&b.port, "p", "5433", "port")
	flag.StringVar(&b.dir, "D", "", "directory")
	flag.IntVar(&b.jobs, "j", 1, "connections that copy files")
	flag.IntVar(&b.minJobs, "min-jobs", 0, "connections that are enough")
	flag.StringVar(&b.walMethod, "X", "fetch", "fetch or none")
	mapping := flag.String("T", "", "OLD=NEW")
	flag.StringVar(&b.mistake, "wrong", "", "what to do wrong")
	list := flag.Bool("list", false, "print what can be wrong")
	flag.Parse()
	if *list {
		for _, name := range slices.Sorted(maps.Keys(mistakes)) {
			fmt.Printf("%s\t%s\n", name, mistakes[name])
		}
		return
	}
	if _, known := mistakes[b.mistake]; b.mistake != "" && !known {
		fmt.Fprintln(os.Stderr, "unknown mistake:", b.mistake)
		os.Exit(2)
	}
	b.from, b.to, _ = strings.Cut(*mapping, "=")
	b.address = net.JoinHostPort(b.host, b.port)
	os.Exit(b.main())
}

// main is the exit status.
func (b *backup) main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if b.is("ignores-sigterm-residue") {
		ctx = context.Background()
		signal.Reset()
	}
	if b.is("second-signal-kills") {
		defer context.AfterFunc(ctx, stop)()
	}
	defer context.AfterFunc(ctx, b.hangUp)()
	err := b.run()
	if err == nil {
		return 0
	}
	if b.is("second-signal-kills") {
		time.Sleep(soon) // a cleanup that takes long
	}
	b.hangUp()
	if b.late {
		b.say(err)
		if b.is("damage-is-success") {
			return 0
		}
		return 1
	}
	b.undo()
	if b.is("success-after-failure") {
		return 0
	}
	if !b.is("silent") {
		b.say(err)
	}
	if b.is("says-it-twice") {
		b.say(err)
	}
	return 1
}

func (b *backup) say(err error) { fmt.Fprintln(os.Stderr, "wrongclient:", err) }

// is reports whether the client is to make this mistake.
func (b *backup) is(mistake string) bool { return b.mistake == mistake }
