package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// hosts are this machine and another one, a network namespace, with a line between them. The
// packets go through this process, which holds them up: few kernels are built with netem, all of
// distributions with TUN devices.
type hosts struct {
	namespace, here, there string // and the names of the line's ends
	address, peer          string // of this machine, and of the other one
	wg                     sync.WaitGroup
	ends                   [2]*os.File // nil: there is no line now
	carried                chan error
}

// newHosts makes the other host. That takes root, ip and TUN devices. The caller closes it.
func newHosts() (*hosts, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("only root can make a network namespace")
	}
	id := os.Getpid()
	h := &hosts{
		namespace: fmt.Sprintf("pgpbench%d", id), here: fmt.Sprintf("pgpa%d", id), there: fmt.Sprintf("pgpb%d", id),
		address: fmt.Sprintf("198.19.%d.1", id%250), peer: fmt.Sprintf("198.19.%d.2", id%250), // for benchmarks of networks (RFC 2544)
	}
	return h, ip("netns add " + h.namespace)
}

func ip(arguments string) error {
	if out, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w\n%s", arguments, err, tail(string(out), 500))
	}
	return nil
}

// connect lays a line.
func (h *hosts) connect(ctx context.Context, l link) error {
	for i, name := range []string{h.here, h.there} {
		end, err := openTun(name)
		if err != nil {
			return errors.Join(err, h.disconnect())
		}
		h.ends[i] = end
	}
	for _, step := range []string{
		"link set " + h.there + " netns " + h.namespace,
		"address add " + h.address + " peer " + h.peer + " dev " + h.here, "link set " + h.here + " txqueuelen 10000 up",
		"-n " + h.namespace + " address add " + h.peer + " peer " + h.address + " dev " + h.there,
		"-n " + h.namespace + " link set " + h.there + " txqueuelen 10000 up",
	} {
		if err := ip(step); err != nil {
			return errors.Join(err, h.disconnect())
		}
	}
	h.carried = make(chan error, 2)
	for i := range h.ends { // both end with disconnect
		h.wg.Go(func() { h.carried <- l.carry(ctx, h.ends[i], h.ends[1-i]) })
	}
	return nil
}

// disconnect takes the line away.
func (h *hosts) disconnect() error {
	var err error
	for _, end := range h.ends {
		if end != nil {
			err = errors.Join(err, end.Close())
		}
	}
	h.wg.Wait()
	h.ends = [2]*os.File{}
	for len(h.carried) > 0 {
		err = errors.Join(err, <-h.carried)
	}
	return err
}

func (h *hosts) close() error { return errors.Join(h.disconnect(), ip("netns delete "+h.namespace)) }

// on has a command run on the other host, as root.
func (h *hosts) on(ctx context.Context, cmd *exec.Cmd) *exec.Cmd {
	there := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.namespace, cmd.Path}, cmd.Args[1:]...)...)
	there.Env, there.Dir = cmd.Env, cmd.Dir
	return there
}
