// SPDX-License-Identifier: Apache-2.0

// Every limit has a default.

package tidemark_test

import (
	"reflect"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
)

func TestLimitsWithDefaults(t *testing.T) {
	defaults := tidemark.DefaultLimits()
	if got := (tidemark.Limits{}).WithDefaults(); got != defaults {
		t.Errorf("no limits given: %+v, the defaults are %+v", got, defaults)
	}
	for i := range reflect.TypeFor[tidemark.Limits]().NumField() {
		name := reflect.TypeFor[tidemark.Limits]().Field(i).Name
		if reflect.ValueOf(defaults).Field(i).IsZero() {
			t.Errorf("%s has no default", name)
		}
		var given tidemark.Limits
		reflect.ValueOf(&given).Elem().Field(i).SetUint(7)
		if got := reflect.ValueOf(given.WithDefaults()).Field(i).Uint(); got != 7 {
			t.Errorf("%s given as 7 becomes %d", name, got)
		}
	}
}
