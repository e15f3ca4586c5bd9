// SPDX-License-Identifier: Apache-2.0

// Who starts a device, asks it, kills it and starts it again.

package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/bench"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/sim/invariant"
)

// keeper keeps one device going over its deaths. Its methods are for one goroutine; only the device tells from others.
type keeper struct {
	config   DeviceConfig
	program  []string                      // the command of a device that is a process; nil: it lives in this process
	hear     func(k *keeper, t Told)       // what the device tells
	proxy    *Proxy                        // its network
	checks   bool                          // bodies are not spoiled on the way, so history never changes for it
	store    atomic.Pointer[client.Memory] // of a device in this process
	pid      int                           // of its process
	stands   chan *Standing                // answers to askStand
	asked    chan string                   // to the running device; nil: it is dead
	kill     func()                        // ends the running device at once
	gone     chan struct{}                 // closed when it has ended
	err      error                         // how it ended; read after gone is closed
	observer invariant.Observer            // is told of its deaths
	group    *errgroup.Group               // owns what runs here
	over     atomic.Bool                   // the client gave up by itself: it needs a new life
}

// name is who the device is, for people.
func (k *keeper) name() string { return k.config.User + "/" + k.config.Device }

// who is the device, for checkers.
func (k *keeper) who() invariant.Who {
	return invariant.Who{User: tidemark.UserID(k.config.User), Device: tidemark.DeviceID(k.config.Device)}
}

// start gives the device its next life.
func (k *keeper) start(ctx context.Context) error {
	k.asked, k.gone, k.stands = make(chan string, 4), make(chan struct{}), make(chan *Standing, 1)
	k.over.Store(false)
	k.err = nil
	config, asked, gone, stands := k.config, k.asked, k.gone, k.stands
	k.config.Life++
	tell := func(t Told) {
		switch t.Kind {
		case Stands:
			select {
			case stands <- t.Standing:
			default:
			}
			return
		case Stops:
			k.over.Store(true)
		}
		k.hear(k, t)
	}
	if k.program != nil {
		return k.startProcess(ctx, config, asked, gone, tell)
	}
	if k.store.Load() == nil {
		k.store.Store(client.NewMemory())
	}
	store := k.store.Load()
	ctx, k.kill = context.WithCancel(ctx)
	k.group.Go(func() error {
		defer close(gone)
		k.err = runDevice(ctx, config, store, asked, tell)
		return nil
	})
	return nil
}

// startProcess starts a device as a process, which does not outlive this one.
func (k *keeper) startProcess(ctx context.Context, config DeviceConfig, asked <-chan string, gone chan<- struct{}, tell func(Told)) error {
	command := exec.Command(k.program[0], k.program[1:]...)
	command.Env = append(command.Environ(), DeviceVariable+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("soak: device %s: %w", k.name(), err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("soak: device %s: %w", k.name(), err)
	}
	last := &bench.Tail{}
	command.Stderr = last
	if err := command.Start(); err != nil {
		return fmt.Errorf("soak: device %s: %w", k.name(), err)
	}
	kill := func() { _ = command.Process.Kill() } // an error means that it is gone already
	k.kill, k.pid = kill, command.Process.Pid
	first, err := json.Marshal(config)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	k.group.Go(func() error {
		_, err := fmt.Fprintf(in, "%s\n", first)
		for err == nil {
			select {
			case ask := <-asked:
				_, err = fmt.Fprintln(in, ask)
			case <-ended:
				err = io.EOF
			case <-ctx.Done():
				kill()
				err = io.EOF
			}
		}
		return nil
	})
	k.group.Go(func() error {
		defer close(gone)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			var told Told
			if err != nil {
				break // it is dead; half a line is what it was about to tell
			}
			if err := json.Unmarshal(line, &told); err != nil {
				k.group.Go(func() error { return fmt.Errorf("soak: device %s tells %q: %w", k.name(), line, err) })
				kill()
				break
			}
			tell(told)
		}
		if err := command.Wait(); err != nil {
			k.err = fmt.Errorf("%w: %s", err, last)
		}
		close(ended)
		return nil
	})
	return nil
}

// DeviceVariable is set in the environment of a process that is to be a device: its program calls [Device].
const DeviceVariable = "TIDEMARK_SOAK_DEVICE"

// ask passes a request on; a device that is dead, or hangs, is not asked.
func (k *keeper) ask(what string) {
	select {
	case k.asked <- what:
	case <-k.gone:
	case <-time.After(answerMax):
	}
}

// crash ends the device as a crash would: a process is killed, a device in this process goes on with what its store had at one
// moment, after which nothing of it reached the server.
func (k *keeper) crash() {
	if k.program == nil {
		weather, _ := k.proxy.now()
		deaf := weather
		deaf.Refuse, deaf.HoldUp = true, true
		k.proxy.Set(deaf)
		k.proxy.Cut()
		kept := k.store.Load().Clone()
		k.kill()
		<-k.gone
		k.store.Store(kept)
		k.proxy.Set(weather)
		k.observer.Happened(invariant.Incident{Kind: invariant.DeviceCrashed, Who: k.who()})
		return
	}
	k.kill()
	<-k.gone
	k.observer.Happened(invariant.Incident{Kind: invariant.DeviceCrashed, Who: k.who()})
}

// stop ends the device in good order.
func (k *keeper) stop() error {
	k.ask(askStop)
	select {
	case <-k.gone:
	case <-time.After(answerMax):
		k.kill()
		<-k.gone
		return fmt.Errorf("soak: device %s did not stop", k.name())
	}
	return k.err
}

var errDead = errors.New("the device is dead")

// stand asks the device how it stands.
func (k *keeper) stand(ctx context.Context) (*Standing, error) {
	k.ask(askStand)
	select {
	case s := <-k.stands:
		return s, nil
	case <-k.gone:
		return nil, fmt.Errorf("%w: %w", errDead, k.err)
	case <-time.After(answerMax):
		return nil, fmt.Errorf("soak: C6: device %s does not say how it stands%s", k.name(), k.autopsy())
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// answerMax is after how long a device hangs that does not answer, or a server that does not start or stop: so much longer than
// that takes that no other work of the machine can be the reason.
const answerMax = 2 * time.Minute

// autopsy ends a device that hangs, and says what it was doing.
func (k *keeper) autopsy() string {
	if k.program == nil {
		stacks := make([]byte, 1<<20)
		return ":\n" + string(stacks[:runtime.Stack(stacks, true)])
	}
	if syscall.Kill(k.pid, syscall.SIGQUIT) != nil {
		return ""
	}
	select {
	case <-k.gone:
		return fmt.Sprintf(":\n%v", k.err)
	case <-time.After(answerMax):
		return ", nor does it end"
	}
}
