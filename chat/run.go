// SPDX-License-Identifier: Apache-2.0

// The screen as a program: the terminal in front, the device's events behind.

package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/tidemark-im/tidemark/client"
)

// Terminal is where a screen is shown. The zero value is the process's own terminal.
type Terminal struct {
	In  io.Reader
	Out io.Writer
}

// gatherFor is how long events are gathered before the screen hears of them: a busy conversation is drawn some thirty
// times a second, not once a message.
const gatherFor = 30 * time.Millisecond

// Run shows the screen until the user leaves it, or ctx ends. Beside it, it keeps the device connected by cfg.Connect;
// when that ends for good, the screen says so and stays, and Run returns the reason in the end.
func Run(ctx context.Context, cfg Config, terminal Terminal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithFPS(30), tea.WithoutSignalHandler()}
	if terminal.In != nil {
		options = append(options, tea.WithInput(terminal.In))
	}
	if terminal.Out != nil {
		options = append(options, tea.WithOutput(terminal.Out))
	}
	program := tea.NewProgram(NewModel(ctx, cfg), options...)
	var beside sync.WaitGroup
	pump(ctx, &beside, cfg.Device, func(events []client.Event) { program.Send(notes(events)) })
	connected := connect(ctx, &beside, cfg.Connect)
	_, err := program.Run()
	ended := ctx.Err() != nil
	cancel()
	beside.Wait()
	if ended && errors.Is(err, tea.ErrProgramKilled) {
		err = nil
	}
	return errors.Join(wrapped(err), wrapped(<-connected))
}

// connect keeps a device connected; the channel has one value, once it has ended.
func connect(ctx context.Context, beside *sync.WaitGroup, run func(context.Context) error) <-chan error {
	ended := make(chan error, 1)
	if run == nil {
		ended <- nil
		return ended
	}
	beside.Go(func() { ended <- run(ctx) })
	return ended
}

func wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("chat: %w", err)
}

// pump hands the device's events over in bundles until ctx ends: one goroutine listens, one waits and sends.
func pump(ctx context.Context, pumps *sync.WaitGroup, device Device, send func([]client.Event)) {
	var mu sync.Mutex
	var gathered []client.Event // guarded by mu
	some := make(chan struct{}, 1)
	pumps.Go(func() {
		for event := range device.Events(ctx) {
			mu.Lock()
			gathered = append(gathered, event)
			mu.Unlock()
			select {
			case some <- struct{}{}:
			default:
			}
		}
	})
	pumps.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-some:
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(gatherFor):
			}
			mu.Lock()
			events := gathered
			gathered = nil
			mu.Unlock()
			send(events)
		}
	})
}
