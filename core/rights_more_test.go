// SPDX-License-Identifier: Apache-2.0

// Rights: that nothing is forgotten (a setting, a command, an order among members), and the document of the table.

package core_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
)

// TestEverySettingHasItsKeeper changes each setting alone, as an admin and as the owner. A setting that is new must be
// added here, and to the expectations if it names a role.
func TestEverySettingHasItsKeeper(t *testing.T) {
	admins := map[string]bool{ // whether admins change it; the owner changes all
		"Join": true, "HistoryFromStart": true, "MuteAll": true, "SlowModeMs": true,
		"Post": false, "Invite": false, "Edit": false, "Pin": false, "MentionAll": false, "MembersMax": false, "Retention": false,
	}
	var named []string
	for i := range reflect.TypeFor[record.Settings]().NumField() {
		field := reflect.TypeFor[record.Settings]().Field(i)
		byAdmin, known := admins[field.Name]
		if !known {
			t.Errorf("nobody has said who changes the setting %s", field.Name)
			continue
		}
		if field.Type == reflect.TypeFor[record.Role]() {
			named = append(named, field.Name)
		}
		settings := changedSettings(i)
		for _, user := range []tidemark.UserID{"anna", "olga", "max"} {
			a := newArena(t, circumstance{kind: record.Group})
			want := ""
			if user == "max" || user == "anna" && !byAdmin {
				want = "NOT_ALLOWED"
			}
			env := benchEnv()
			env.Position = 0
			reply, _ := a.memory.Do(&core.Update{Actor: core.Actor{User: user}, Conversation: a.id, Settings: core.WireSettings(settings)}, env)
			if reasonOf(reply.Err) != want {
				t.Errorf("%s changes %s: %v, want %q", user, field.Name, reply.Err, want)
			}
			if info, _ := a.memory.Conversation(a.id); want == "" && info.Settings != settings {
				t.Errorf("%s is stored as %+v, want %+v", field.Name, info.Settings, settings)
			}
		}
	}
	if len(named) != len(roleSettings) {
		t.Errorf("the settings %v name roles; the circumstances try %v", named, roleSettings)
	}
}

// changedSettings are settings in which one field is not zero.
func changedSettings(i int) (settings record.Settings) {
	switch field := reflect.ValueOf(&settings).Elem().Field(i); field.Kind() {
	case reflect.Bool:
		field.SetBool(true)
	case reflect.Struct:
		settings.Retention = record.Retention{Mode: 3, MaxCount: 1000}
	default:
		field.SetUint(2)
	}
	return settings
}

// TestEveryCommandIsKnownToRights wants each command to be tried for its right, or a reason why it takes none.
func TestEveryCommandIsKnownToRights(t *testing.T) {
	tried := make(map[string]bool)
	a := newArena(t, circumstance{kind: record.Group})
	for _, try := range tries {
		tried[strings.TrimPrefix(fmt.Sprintf("%T", try(a, core.Actor{User: "max"})), "*core.")] = true
	}
	without := map[string]string{
		"Create": "it makes the conversation", "Settings": "as Read: of one's own", "Contact": "about a peer, not in a conversation",
		"UpsertUser": "in no conversation", "UpdateUser": "in no conversation", "SeeDevice": "in no conversation",
		"ForgetDevice": "in no conversation", "SaveCursor": "in no conversation", "SetOptions": "in no conversation",
		"RevokeTokens": "in no conversation", "DeleteUser": "in no conversation",
		"Depart":         "it has no actor: the server asks for it when a user is deleted",
		"DropAttributes": "it has no actor: the server asks for it",
		"Delete":         "as Read: of one's own", "Clear": "as Read: of one's own",
		"Schedule": "as Submit, which it asks", "SubmitScheduled": "as Submit, which it asks", "Unschedule": "of one's own",
		"Trim": "nobody asks for it", "GiveBack": "the seal proves what it appends; who may offer it is asked before",
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`func \(\*(\w+)\) command\(\)`)
	found := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range declared.FindAllStringSubmatch(string(content), -1) {
			found++
			if !tried[name[1]] && without[name[1]] == "" {
				t.Errorf("the command %s takes no right that is tried: add it to tries, or say why it takes none", name[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d commands are declared", found)
	}
}

// TestNobodyTouchesTheirEquals tries what is done to members, by everybody, to everybody.
func TestNobodyTouchesTheirEquals(t *testing.T) {
	actors := map[string]record.Role{"max": record.MemberRole, "anna": record.AdminRole, "olga": record.OwnerRole, "": 4}
	targets := map[tidemark.UserID]record.Role{"mia": record.MemberRole, "adam": record.AdminRole, "otto": record.OwnerRole}
	for name, to := range map[string]struct {
		least record.Role
		do    func(who core.Actor, id tidemark.UserID) core.Command
	}{
		"remove": {record.AdminRole, func(who core.Actor, id tidemark.UserID) core.Command {
			return &core.RemoveMembers{Actor: who, Conversation: "team", Members: []tidemark.UserID{id}}
		}},
		"mute": {record.AdminRole, func(who core.Actor, id tidemark.UserID) core.Command {
			return &core.Mute{Actor: who, Conversation: "team", Members: []tidemark.UserID{id}, ForMs: 1000}
		}},
		"change the role of": {record.OwnerRole, func(who core.Actor, id tidemark.UserID) core.Command {
			role := record.AdminRole
			if targets[id] == role {
				role = record.MemberRole
			}
			return &core.SetRole{Actor: who, Conversation: "team", Members: []tidemark.UserID{id}, Role: role}
		}},
	} {
		a := newArena(t, circumstance{kind: record.Group})
		a.do(&core.AddMembers{Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{"adam"}, Role: record.AdminRole})
		for user, role := range actors {
			for target, below := range targets {
				want := ""
				if role < to.least || role <= below {
					want = "NOT_ALLOWED"
				}
				changes := new(record.Changes)
				reply := core.Evaluate(a.memory, to.do(core.Actor{User: tidemark.UserID(user), App: user == ""}, target), benchEnv(), changes)
				if reasonOf(reply.Err) != want {
					t.Errorf("%q %ss %s: %v, want %q", user, name, target, reply.Err, want)
				}
			}
		}
	}
}

const rightsFile = "../docs/rights.md"

// TestRightsDocument holds docs/rights.md to the table; -rewrite writes it anew.
func TestRightsDocument(t *testing.T) {
	content, err := os.ReadFile(rightsFile)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- the table, written by `go test ./core -run TestRightsDocument -rewrite` -->\n", "<!-- end of the table -->\n"
	before, rest, found := strings.Cut(string(content), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", rightsFile)
	}
	want := before + begin + rightsTable() + end + after
	switch {
	case want == string(content):
	case *rewrite:
		if err := os.WriteFile(rightsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the rules say: run this test with -rewrite", rightsFile)
	}
}

// rightsTable is the table of rights for people.
func rightsTable() string {
	var b strings.Builder
	b.WriteString("\n| to | direct | group | channel | room | set by | kept from members by | once dissolved |\n|---|---|---|---|---|---|---|---|\n")
	names := map[record.Role]string{core.Anybody: "anybody", core.AppOnly: "the app", core.Nobody: "–"}
	for _, r := range core.Rights() {
		what := r.What
		if r.Lower {
			what += " of a lower role"
		}
		fmt.Fprintf(&b, "| %s |", what)
		for _, role := range r.Least {
			name := names[role]
			if name == "" {
				name = role.String()
			}
			fmt.Fprintf(&b, " %s |", name)
		}
		setting := ""
		switch {
		case r.Policy:
			setting = "`join`"
		case r.Only:
			setting = fmt.Sprintf("`%s`, if higher", r.Setting)
		case r.Setting != core.NoSetting:
			setting = fmt.Sprintf("`%s`", r.Setting)
		}
		var kept []string
		for _, k := range []struct {
			keeps core.Keeps
			name  string
		}{{core.Silence, "silence"}, {core.MuteAll, "`mute_all`"}, {core.SlowMode, "`slow_mode_ms`"}} {
			if r.Keeps&k.keeps != 0 {
				kept = append(kept, k.name)
			}
		}
		ended := ""
		if r.Ended {
			ended = "yes"
		}
		fmt.Fprintf(&b, " %s | %s | %s |\n", setting, strings.Join(kept, ", "), ended)
	}
	return b.String() + "\n"
}
