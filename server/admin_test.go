// SPDX-License-Identifier: Apache-2.0

// What operators ask: how the server stands, who is connected; and the limits of an import.

package server_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestStats(t *testing.T) {
	n := world(t, nil)
	a := n.ok(n.app("AdminService/Stats", `{}`))
	if a.at("version") != "test" || a.at("state") != "serving" || number(t, a.at("epoch")) == 0 || number(t, a.at("diskFreeBytes")) == 0 {
		t.Errorf("%s", a.text)
	}
	partitions, _ := a.at("partitions").([]any)
	events, conversations := uint64(0), uint64(0)
	for i := range partitions {
		events += number(t, a.at("partitions", strconv.Itoa(i), "events"))
		conversations += number(t, a.at("partitions", strconv.Itoa(i), "conversations"))
	}
	if len(partitions) != 8 || events != 3 || conversations != 2 {
		t.Errorf("%d partitions, %d events, %d conversations: %s", len(partitions), events, conversations, a.text)
	}
}

func TestSessionsInPages(t *testing.T) {
	n := world(t, nil)
	token := n.token("bob")
	var want []string
	for i := range 5 {
		device := fmt.Sprintf("d%d", i)
		s := n.connect(token, `{"hello":{"deviceId":"`+device+`"}}`)
		defer s.c.CloseNow()
		s.until("synced")
		want = append(want, device)
	}
	var got []string
	page := ""
	for pages := 0; pages == 0 || page != ""; pages++ {
		a := n.ok(n.app("AdminService/Sessions", `{"userId":"bob","pageSize":2,"pageToken":"`+page+`"}`))
		list, _ := a.at("sessions").([]any)
		for i := range list {
			got = append(got, a.at("sessions", strconv.Itoa(i), "deviceId").(string))
		}
		page, _ = a.at("nextPageToken").(string)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%v", got)
	}
	if a := n.ok(n.app("AdminService/Sessions", `{"userId":"alice"}`)); a.at("sessions", "0") != nil {
		t.Errorf("%s", a.text)
	}
	if kicked := n.ok(n.app("UserService/Kick", `{"userId":"bob"}`)); kicked.at("sessions") != 5.0 {
		t.Errorf("%s", kicked.text)
	}
	if devices := n.ok(n.as("bob", "UserService/Devices", `{}`)); devices.at("devices", "0") != nil {
		t.Errorf("%s", devices.text)
	}
}

func TestImportIsBounded(t *testing.T) {
	n := world(t, nil)
	entry := `{"timeMs":"1","clientId":"%d","user":"bob","message":{"text":"x"}}`
	var entries []string
	for i := range 5001 {
		entries = append(entries, fmt.Sprintf(entry, i))
	}
	n.refuses(n.app("AdminService/Import", `{"conversation":"team","entries":[`+strings.Join(entries, ",")+`]}`), 429, "TOO_MANY")
	a := n.ok(n.app("AdminService/Import", `{"conversation":"team","entries":[`+strings.Join(entries[:5000], ",")+`]}`))
	if a.at("appended") != "5000" || a.at("headSeq") != "5002" {
		t.Errorf("%s", a.text)
	}
}
