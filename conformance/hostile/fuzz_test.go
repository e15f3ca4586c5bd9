// SPDX-License-Identifier: Apache-2.0

// Hostile bytes: a driver of any language may post anything.

package hostile

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"
)

// FuzzReport: a report is refused with a sentence, or judged, twice the same; nothing of it makes a right end of a run that
// it does not tell of.
func FuzzReport(f *testing.F) {
	for i := range scenarios {
		r := newRun("r", &scenarios[i], "", func() string { return "token" })
		report := Report{Tasks: 1, Devices: []DeviceReport{whole(r)}}
		report.Devices[0].Rewritten = []Rewritten{{"team", 1, 2}}
		report.Devices[0].Outbox = []Pending{{"team", "c", "text", "sent"}}
		data, err := json.Marshal(report)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), data)
	}
	f.Add(uint8(0), []byte(`{"devices":[{"deviceId":"phone","conversations":[{"id":"team","events":[{"seq":"18446744073709551615"}],"gaps":[{"from":1,"to":18446744073709551615}]}]}]}`))
	f.Add(uint8(1), []byte(`{"tasks":-1,"devices":[{"deviceId":"phone","rewritten":[{"conversation":"team","from":"","to":9}]}]}`))
	f.Fuzz(func(t *testing.T, number uint8, data []byte) {
		answer := httptest.NewRecorder()
		var report Report
		if !read(answer, httptest.NewRequest("POST", "/hostile/runs/r/report", bytes.NewReader(data)), &report) {
			if answer.Code != 400 || !json.Valid(answer.Body.Bytes()) {
				t.Fatalf("refused with %d %q", answer.Code, answer.Body)
			}
			return
		}
		r := newRun("r", &scenarios[int(number)%len(scenarios)], "", func() string { return "token" })
		r.playedAt, r.deadline = time.Now().Add(-time.Second), time.Now().Add(-time.Millisecond)
		r.mu.Lock()
		defer r.mu.Unlock()
		first := r.judge(&report)
		if first.Verdict == Undecided || first.Verdict == Failed && len(first.Reasons) == 0 {
			t.Fatalf("judged: %+v", first)
		}
		if first.Verdict == Passed && len(report.Devices) < len(r.devices) {
			t.Fatalf("passed without a report of every device: %s", data)
		}
		if again := r.judge(&Report{}); again.Verdict != first.Verdict {
			t.Fatalf("it was %s, and is %s", first.Verdict, again.Verdict)
		}
	})
}
