// SPDX-License-Identifier: Apache-2.0

// A screen without a terminal, for the stories of model_test.go.

package chat

import (
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// screen drives a model as the program's loop does, without a terminal and without waiting for timers.
type screen struct {
	t      *testing.T
	model  *Model
	device *fakeDevice
	clock  time.Time
}

func newScreen(t *testing.T, device *fakeDevice, cfg Config) *screen {
	t.Helper()
	s := &screen{t: t, device: device, clock: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)}
	cfg.Device, cfg.Zone, cfg.Now = device, time.UTC, func() time.Time { return s.clock }
	s.model = NewModel(t.Context(), cfg)
	s.run(s.model.Init())
	s.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	return s
}

// send gives messages to the model and runs the commands that follow.
func (s *screen) send(msgs ...tea.Msg) {
	s.t.Helper()
	for _, msg := range msgs {
		_, cmd := s.model.Update(msg)
		s.run(cmd)
	}
}

// run runs commands to their end. Timers are not waited for: a test sends tick itself.
func (s *screen) run(cmd tea.Cmd) {
	s.t.Helper()
	if cmd == nil || isTimer(cmd) {
		return
	}
	msg := cmd()
	switch msg := msg.(type) {
	case tea.BatchMsg:
		for _, cmd := range msg {
			s.run(cmd)
		}
	case answered:
		s.send(msg)
	}
}

// isTimer reports whether a command is one of bubbletea's timers, by the name of the function that it is.
func isTimer(cmd tea.Cmd) bool {
	return strings.Contains(runtime.FuncForPC(reflect.ValueOf(cmd).Pointer()).Name(), ".Tick.")
}

// keys presses keys by their names; what is no name is typed, letter by letter.
func (s *screen) keys(names ...string) {
	s.t.Helper()
	for _, name := range names {
		if press, known := keyNames[name]; known {
			s.send(press)
			continue
		}
		for _, r := range name {
			s.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

var keyNames = map[string]tea.KeyPressMsg{
	"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown},
	"pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown}, "tab": {Code: tea.KeyTab}, "f1": {Code: tea.KeyF1},
	"ctrl+l": {Code: 'l', Mod: tea.ModCtrl}, "ctrl+n": {Code: 'n', Mod: tea.ModCtrl}, "ctrl+p": {Code: 'p', Mod: tea.ModCtrl},
	"ctrl+home": {Code: tea.KeyHome, Mod: tea.ModCtrl}, "ctrl+end": {Code: tea.KeyEnd, Mod: tea.ModCtrl},
	"alt+up": {Code: tea.KeyUp, Mod: tea.ModAlt}, "alt+down": {Code: tea.KeyDown, Mod: tea.ModAlt},
	"alt+enter": {Code: tea.KeyEnter, Mod: tea.ModAlt},
}

// text is what the screen shows, without colours. Every line fits, whatever is on it.
func (s *screen) text() string {
	s.t.Helper()
	view := s.model.View()
	lines := strings.Split(view.Content, "\n")
	if len(lines) > s.model.height {
		s.t.Errorf("%d lines on a screen of %d", len(lines), s.model.height)
	}
	for i, line := range lines {
		if w := s.model.measure.StringWidth(line); w > s.model.width {
			s.t.Errorf("line %d is %d cells wide on a screen of %d: %q", i, w, s.model.width, ansi.Strip(line))
		}
		lines[i] = strings.TrimRight(ansi.Strip(line), " ")
	}
	return strings.Join(lines, "\n")
}

func (s *screen) want(what ...string) {
	s.t.Helper()
	text := s.text()
	for _, w := range what {
		if !strings.Contains(text, w) {
			s.t.Errorf("the screen does not show %q:\n%s", w, text)
		}
	}
}

func (s *screen) wantNot(what ...string) {
	s.t.Helper()
	text := s.text()
	for _, w := range what {
		if strings.Contains(text, w) {
			s.t.Errorf("the screen shows %q:\n%s", w, text)
		}
	}
}

// wantSaid checks what the device was told last.
func (s *screen) wantSaid(want string) {
	s.t.Helper()
	for i := len(s.device.said) - 1; i >= 0; i-- {
		if said := s.device.said[i]; !strings.HasPrefix(said, "typing") && !strings.HasPrefix(said, "read") {
			if said != want {
				s.t.Errorf("the device was told %q, want %q", said, want)
			}
			return
		}
	}
	s.t.Errorf("the device was told nothing, want %q", want)
}
