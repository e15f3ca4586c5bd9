// SPDX-License-Identifier: Apache-2.0

// Package storetest checks that a store does what [client.Store] says. Run it over every implementation:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) client.Store { return client.NewMemory() })
//	}
//
// It does not check durability: that needs a process that dies.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
)

// Run runs all checks, each on an empty store that open makes.
func Run(t *testing.T, open func(t *testing.T) client.Store) {
	for name, check := range map[string]func(*testing.T, client.Store){
		"what is put is got":                   putGet,
		"an update that fails changes nothing": rollback,
		"an update sees its own writes":        ownWrites,
		"ranges are half open, both ways":      ranges,
		"a view is of one moment":              snapshot,
		"random work agrees with a map":        random,
		"values are copied":                    copied,
		"closing twice":                        closing,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			check(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func put(t *testing.T, s client.Store, pairs ...string) {
	t.Helper()
	err := s.Update(func(tx client.Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := tx.Put([]byte(pairs[i]), []byte(pairs[i+1])); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("update: %v", err)
	}
}

// dump is everything in a view.
func dump(t *testing.T, v replica.View) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := v.Ascend([]byte{0}, []byte{0xff}, func(k, value []byte) bool { all[string(k)] = string(value); return true }); err != nil {
		t.Fatalf("ascend: %v", err)
	}
	return all
}

func want(t *testing.T, s client.Store, expected map[string]string) {
	t.Helper()
	err := s.View(func(v replica.View) error {
		if got := dump(t, v); !maps.Equal(got, expected) {
			t.Errorf("the store holds %v, want %v", got, expected)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("view: %v", err)
	}
}

func putGet(t *testing.T, s client.Store) {
	put(t, s, "a", "1", "b", "2", "empty", "")
	err := s.View(func(v replica.View) error {
		for key, value := range map[string][]byte{"a": []byte("1"), "b": []byte("2"), "empty": {}, "c": nil, "": nil} {
			got, err := v.Get([]byte(key))
			if err != nil || !bytes.Equal(got, value) || (got == nil) != (value == nil) {
				t.Errorf("get %q: %q, %v, want %q", key, got, err, value)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "3")
	if err := s.Update(func(tx client.Tx) error { return errors.Join(tx.Delete([]byte("b")), tx.Delete([]byte("none"))) }); err != nil {
		t.Fatal(err)
	}
	want(t, s, map[string]string{"a": "3", "empty": ""})
}

func rollback(t *testing.T, s client.Store) {
	put(t, s, "a", "1")
	failure := errors.New("no")
	err := s.Update(func(tx client.Tx) error {
		return errors.Join(tx.Put([]byte("a"), []byte("2")), tx.Put([]byte("b"), []byte("2")), tx.Delete([]byte("a")), failure)
	})
	if !errors.Is(err, failure) {
		t.Errorf("update: %v, want the error of the function", err)
	}
	want(t, s, map[string]string{"a": "1"})
}

func ownWrites(t *testing.T, s client.Store) {
	put(t, s, "a", "1")
	err := s.Update(func(tx client.Tx) error {
		if err := errors.Join(tx.Put([]byte("b"), []byte("2")), tx.Delete([]byte("a"))); err != nil {
			return err
		}
		if got := dump(t, tx); !maps.Equal(got, map[string]string{"b": "2"}) {
			t.Errorf("inside: %v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ranges(t *testing.T, s client.Store) {
	put(t, s, "a", "", "b", "", "c", "", "d", "")
	err := s.View(func(v replica.View) error {
		for _, c := range []struct{ from, to, up, down string }{
			{"b", "d", "bc", "cb"}, {"bb", "dd", "cd", "dc"}, {"a", "a", "", ""}, {"0", "z", "abcd", "dcba"}, {"x", "z", "", ""}, {"0", "1", "", ""},
		} {
			var up, down string
			if err := errors.Join(
				v.Ascend([]byte(c.from), []byte(c.to), func(k, _ []byte) bool { up += string(k); return true }),
				v.Descend([]byte(c.from), []byte(c.to), func(k, _ []byte) bool { down += string(k); return true })); err != nil {
				return err
			}
			if up != c.up || down != c.down {
				t.Errorf("%s..%s: %q and %q, want %q and %q", c.from, c.to, up, down, c.up, c.down)
			}
		}
		n := 0
		err := v.Descend([]byte("a"), []byte("z"), func(_, _ []byte) bool { n++; return n < 2 })
		if n != 2 {
			t.Errorf("a walk that was told to stop at 2 made %d", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func snapshot(t *testing.T, s client.Store) {
	put(t, s, "a", "1")
	var updates sync.WaitGroup
	err := s.View(func(v replica.View) error {
		started := make(chan struct{})
		updates.Go(func() {
			close(started)
			put(t, s, "a", "2", "b", "2") // must not wait for the view for ever, but may
		})
		<-started
		for range 100 {
			if got := dump(t, v); !maps.Equal(got, map[string]string{"a": "1"}) {
				t.Errorf("the view changed: %v", got)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	updates.Wait()
	want(t, s, map[string]string{"a": "2", "b": "2"})
}

func random(t *testing.T, s client.Store) {
	rng := rand.New(rand.NewPCG(1, 2))
	model := map[string]string{}
	for range 200 {
		draft := maps.Clone(model)
		abandon := rng.IntN(4) == 0
		err := s.Update(func(tx client.Tx) error {
			for range rng.IntN(20) {
				key, value := fmt.Sprint("k", rng.IntN(300)), fmt.Sprint(rng.Int())
				if rng.IntN(3) == 0 {
					delete(draft, key)
					if err := tx.Delete([]byte(key)); err != nil {
						return err
					}
					continue
				}
				draft[key] = value
				if err := tx.Put([]byte(key), []byte(value)); err != nil {
					return err
				}
			}
			if abandon {
				return errors.New("abandoned")
			}
			return nil
		})
		if abandon != (err != nil) {
			t.Fatal(err)
		}
		if !abandon {
			model = draft
		}
	}
	want(t, s, model)
	var keys []string
	if err := s.View(func(v replica.View) error {
		return v.Ascend([]byte{0}, []byte{0xff}, func(k, _ []byte) bool { keys = append(keys, string(k)); return true })
	}); err != nil || !slices.IsSorted(keys) {
		t.Errorf("keys in order: %t, %v", slices.IsSorted(keys), err)
	}
}

func copied(t *testing.T, s client.Store) {
	key, value := []byte("k"), []byte("v")
	if err := s.Update(func(tx client.Tx) error {
		err := tx.Put(key, value)
		key[0], value[0] = 'x', 'x'
		return err
	}); err != nil {
		t.Fatal(err)
	}
	want(t, s, map[string]string{"k": "v"})
}

func closing(t *testing.T, s client.Store) {
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := s.Update(func(client.Tx) error { return nil }); err == nil {
		t.Error("an update of a closed store succeeds")
	}
	if err := s.View(func(replica.View) error { return nil }); err == nil {
		t.Error("a view of a closed store succeeds")
	}
}
