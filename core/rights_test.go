// SPDX-License-Identifier: Apache-2.0

// Rights: every role, action, kind of conversation, value of a setting and condition, against what is expected of them.

package core_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// expectedRights is what is expected, written by hand and apart from the table of the rules. For each action: the lowest
// role in each kind of conversation ("app": only the app in its own name; "any": also who is no member; "-": nobody), the
// setting that takes its place ("post"; "invite+": only where it is higher), what keeps members of role MEMBER from it
// (S silence, M mute_all, W slow mode), and whether it can still be done in a dissolved conversation.
const expectedRights = `
                                              direct  group   channel  room    setting      kept  ended
post                                          member  member  admin    member  post         SMW   no
mention everybody                             member  member  member   member  mention_all  -     no
edit messages                                 member  member  admin    member  post         SM    no
edit the messages of others                   app     app     app      app     -            -     no
recall messages                               member  member  member   member  -            -     no
recall the messages of others                 app     admin   admin    admin   -            -     no
erase messages                                member  member  member   member  -            -     yes
erase the messages of others                  app     app     app      app     -            -     yes
react                                         member  member  member   member  -            S     no
pin                                           member  admin   admin    admin   pin          S     no
move a read mark or change settings of one's own  member  member  member   -       -        -     yes
change the data                               -       admin   admin    admin   edit         S     no
change the rules                              -       admin   admin    admin   -            -     no
change who may do what                        -       owner   owner    owner   -            -     no
add members                                   -       admin   admin    admin   invite       -     no
answer requests to join                       -       admin   admin    -       invite+      -     no
remove members                                -       admin   admin    admin   -            -     yes
mute members                                  -       admin   admin    admin   -            -     no
change roles                                  -       owner   owner    owner   -            -     no
make owners                                   -       app     app      app     -            -     no
transfer the ownership                        -       owner   owner    owner   -            -     no
dissolve the conversation                     -       owner   owner    owner   -            -     yes
join                                          -       any     any      -       -            -     no
leave                                         -       member  member   member  -            -     yes
set attributes                                -       -       -        member  -            S     no
change the attributes of others               -       -       -        admin   -            -     no
import                                        -       app     app      -       -            -     no
`

// rightsRow is a row of expectedRights.
type rightsRow struct {
	least   [4]string // by kind: direct, group, channel, room
	setting string
	raises  bool
	kept    string
	ended   bool
}

func parseRights(t *testing.T) map[string]rightsRow {
	rows := make(map[string]rightsRow)
	for _, line := range strings.Split(strings.Trim(expectedRights, "\n"), "\n")[1:] {
		what, rest, found := strings.Cut(line, "  ")
		fields := strings.Fields(rest)
		if !found || len(fields) != 7 {
			t.Fatalf("not a row: %q", line)
		}
		setting, raises := strings.CutSuffix(fields[4], "+")
		rows[what] = rightsRow{[4]string(fields[:4]), setting, raises, fields[5], fields[6] == "yes"}
	}
	return rows
}

// circumstance is what holds in a conversation while rights are tried.
type circumstance struct {
	kind    record.Kind
	setting string // one role setting has a value
	role    record.Role
	state   string // "", "silenced", "mute_all", "slow", "dissolved", "open", "invite", "request"
}

var (
	roleSettings = []string{"post", "invite", "edit", "pin", "mention_all"}
	states       = []string{"", "silenced", "mute_all", "slow", "dissolved", "open", "invite", "request"}
	kindNames    = map[record.Kind]string{record.Direct: "direct", record.Group: "group", record.Channel: "channel", record.Room: "room"}
	asRole       = map[string]record.Role{"any": 0, "member": record.MemberRole, "admin": record.AdminRole, "owner": record.OwnerRole}
)

func circumstances() []circumstance {
	list := []circumstance{{kind: record.Direct}}
	for _, kind := range []record.Kind{record.Group, record.Channel, record.Room} {
		for _, state := range states {
			list = append(list, circumstance{kind: kind, state: state})
			for _, setting := range roleSettings {
				for role := record.MemberRole; role <= record.OwnerRole; role++ {
					list = append(list, circumstance{kind, setting, role, state})
				}
			}
		}
	}
	return list
}

// expect is the reason with which somebody of a role is refused; "" is allowed. Role 0 is no member; app is the app in
// its own name.
func (row rightsRow) expect(what string, c circumstance, role record.Role, app bool) string {
	least := row.least[c.kind-record.Direct]
	dissolved := c.state == "dissolved" && !row.ended
	switch {
	case least == "-":
		return "NOT_ALLOWED"
	case !app && role == 0 && least != "any":
		return "NOT_MEMBER"
	case dissolved:
		return "READ_ONLY"
	case app:
		return ""
	case least == "app":
		return "NOT_ALLOWED"
	}
	need := asRole[least]
	if row.setting == c.setting && (!row.raises || c.role > need) {
		need = c.role
	}
	switch {
	case role < need:
		return "NOT_ALLOWED"
	case what == "join" && (c.state == "invite" || c.kind == record.Group && c.state != "open" && c.state != "request"):
		return "NOT_ALLOWED"
	case c.state == "silenced" && strings.Contains(row.kept, "S"):
		return "MUTED"
	case role > record.MemberRole:
		return ""
	case c.state == "mute_all" && strings.Contains(row.kept, "M"):
		return "MUTED"
	case c.state == "slow" && strings.Contains(row.kept, "W"):
		return "RATE_LIMITED"
	}
	return ""
}

func (c circumstance) String() string {
	return fmt.Sprintf("%s, %s %s, state %q", kindNames[c.kind], c.setting, c.role, c.state)
}

// TestRightsTable asks the table itself, in every circumstance, for everybody.
func TestRightsTable(t *testing.T) {
	expected := parseRights(t)
	const nowMs = 1_772_000_000_000
	seen := make(map[string]bool)
	for action, right := range core.Rights() {
		seen[right.What] = true
		row, there := expected[right.What]
		if !there {
			t.Errorf("nothing is expected of the right to %s: add a row", right.What)
			continue
		}
		for _, c := range circumstances() {
			info := c.info()
			for role := record.Role(0); role <= record.OwnerRole; role++ {
				member := &record.Member{Role: role, JoinedSeq: 1}
				if role == 0 {
					member = nil
				} else if c.state == "silenced" {
					member.SilencedUntilMs = nowMs + 60_000
				} else if c.state == "slow" {
					member.LastPostMs = nowMs - 100
				}
				check := func(who core.Asker) {
					got, want := reasonOf(core.May(info, who, core.Action(action), nowMs)), row.expect(right.What, c, role, who.App)
					if got != want {
						t.Errorf("to %s as %s (app: %v) in %s: %q, want %q", right.What, role, who.App, c, got, want)
					}
				}
				check(core.AskerOf("max", member))
				if role == 0 {
					check(core.AskerOf("", nil))
				}
			}
		}
	}
	for what := range expected {
		if !seen[what] {
			t.Errorf("there is no right to %s: strike its row out", what)
		}
	}
}

func reasonOf(err *tidemark.Error) string {
	if err == nil {
		return ""
	}
	return err.Reason.String()
}

// info is a conversation in these circumstances.
func (c circumstance) info() *record.Info {
	info := &record.Info{ID: "team", Kind: c.kind}
	info.Settings = core.SettingsOf(c.settings())
	if c.state == "dissolved" {
		info.DissolvedSeq = 7
	}
	return info
}

func (c circumstance) settings() *wire.Settings {
	s := &wire.Settings{MuteAll: c.state == "mute_all"}
	s.Join = map[string]wire.JoinPolicy{
		"open": wire.JoinPolicy_OPEN, "invite": wire.JoinPolicy_INVITE, "request": wire.JoinPolicy_REQUEST,
	}[c.state]
	if c.state == "slow" {
		s.SlowModeMs = 60_000
	}
	switch role := wire.Role(c.role); c.setting {
	case "post":
		s.Post = role
	case "invite":
		s.Invite = role
	case "edit":
		s.Edit = role
	case "pin":
		s.Pin = role
	case "mention_all":
		s.MentionAll = role
	}
	return s
}

// arena is a partition with one conversation in some circumstances, and everybody in it.
type arena struct {
	t      *testing.T
	c      circumstance
	memory *coretest.Memory
	id     tidemark.ConversationID
	own    map[tidemark.UserID]tidemark.Seq // a message by each
	others tidemark.Seq                     // a message by somebody else
	ids    int
}

// cast are those who try: the role of each. Two own the conversation, so that one may leave it.
var cast = map[tidemark.UserID]record.Role{"nina": 0, "max": record.MemberRole, "anna": record.AdminRole, "olga": record.OwnerRole}

func newArena(t *testing.T, c circumstance) *arena {
	a := &arena{t: t, c: c, memory: coretest.New(), id: "team", own: make(map[tidemark.UserID]tidemark.Seq)}
	app := core.Actor{App: true}
	if c.kind == record.Direct {
		a.id = "max~mia"
		a.own["max"] = a.do(a.say(core.Actor{User: "max"}, false)).Seq
		a.others = a.do(a.say(core.Actor{User: "mia"}, false)).Seq
		a.own[""] = a.do(a.say(app, false)).Seq
		return a
	}
	a.do(&core.Create{Actor: app, Conversation: a.id, Kind: c.kind, Owner: "olga", Members: []tidemark.UserID{"max", "mia"}})
	if info, _ := a.memory.Conversation(a.id); c.kind == record.Room {
		for _, user := range []tidemark.UserID{"max", "mia"} {
			a.memory.SetEntered(info.Ordinal, user, true)
		}
		a.do(&core.SetAttributes{Actor: core.Actor{User: "mia"}, Conversation: a.id, Set: map[string]string{"others": "mine"}})
	}
	a.do(&core.AddMembers{Actor: app, Conversation: a.id, Members: []tidemark.UserID{"anna"}, Role: record.AdminRole})
	a.do(&core.AddMembers{Actor: app, Conversation: a.id, Members: []tidemark.UserID{"otto"}, Role: record.OwnerRole})
	slow := &wire.Settings{Post: wire.Role_MEMBER, SlowModeMs: 60_000}
	a.do(&core.Update{Actor: app, Conversation: a.id, Settings: slow})
	for _, user := range []tidemark.UserID{"max", "anna", "olga"} {
		a.own[user] = a.do(a.say(core.Actor{User: user}, false)).Seq
	}
	a.own[""] = a.do(a.say(app, false)).Seq
	a.others = a.do(a.say(core.Actor{User: "mia"}, false)).Seq
	a.do(&core.Update{Actor: app, Conversation: a.id, Settings: c.settings()})
	switch c.state {
	case "silenced":
		a.do(&core.Mute{Actor: app, Conversation: a.id, Members: []tidemark.UserID{"max", "anna", "olga"}, ForMs: 60_000})
	case "dissolved":
		a.do(&core.Dissolve{Actor: app, Conversation: a.id})
	}
	return a
}

func (a *arena) do(cmd core.Command) core.Reply {
	a.t.Helper()
	env := benchEnv()
	env.Position = 0
	reply, _ := a.memory.Do(cmd, env)
	if reply.Err != nil {
		a.t.Fatalf("%s: %T: %v", a.c, cmd, reply.Err)
	}
	return reply
}

func (a *arena) submit(actor core.Actor) *core.Submit {
	a.ids++
	return &core.Submit{Actor: actor, Conversation: a.id, ClientID: tidemark.ClientID(fmt.Sprint("c", a.ids))}
}

func (a *arena) say(actor core.Actor, all bool) core.Command {
	cmd := a.submit(actor)
	cmd.Message = &wire.Message{Text: "hello", MentionAll: all}
	return cmd
}

func (a *arena) edit(actor core.Actor, seq tidemark.Seq) core.Command {
	cmd := a.submit(actor)
	cmd.Edit = &wire.Edit{Seq: uint64(seq), Message: &wire.Message{Text: "hello again"}}
	return cmd
}

func (a *arena) recall(actor core.Actor, seq tidemark.Seq) core.Command {
	cmd := a.submit(actor)
	cmd.Recall = &wire.Recall{Seq: uint64(seq)}
	return cmd
}

// with is the conversation's settings with a change.
func (a *arena) with(change func(*wire.Settings)) *wire.Settings {
	info, _ := a.memory.Conversation(a.id)
	s := core.WireSettings(info.Settings)
	change(s)
	return s
}

// tries is a command for each action, by an actor; those about members are about mia, who is a member.
var tries = map[string]func(a *arena, who core.Actor) core.Command{
	"post":                          func(a *arena, who core.Actor) core.Command { return a.say(who, false) },
	"mention everybody":             func(a *arena, who core.Actor) core.Command { return a.say(who, true) },
	"edit messages":                 func(a *arena, who core.Actor) core.Command { return a.edit(who, a.own[who.User]) },
	"edit the messages of others":   func(a *arena, who core.Actor) core.Command { return a.edit(who, a.others) },
	"recall messages":               func(a *arena, who core.Actor) core.Command { return a.recall(who, a.own[who.User]) },
	"recall the messages of others": func(a *arena, who core.Actor) core.Command { return a.recall(who, a.others) },
	"erase messages": func(a *arena, who core.Actor) core.Command {
		return &core.Erase{Actor: who, Conversation: a.id, Seq: a.own[who.User]}
	},
	"erase the messages of others": func(a *arena, who core.Actor) core.Command {
		return &core.Erase{Actor: who, Conversation: a.id, Seq: a.others}
	},
	"react": func(a *arena, who core.Actor) core.Command {
		cmd := a.submit(who)
		cmd.Reaction = &wire.Reaction{Seq: uint64(a.others), Key: "+1"}
		return cmd
	},
	"pin": func(a *arena, who core.Actor) core.Command {
		cmd := a.submit(who)
		cmd.Pin = &wire.Pin{Seq: uint64(a.others)}
		return cmd
	},
	"move a read mark or change settings of one's own": func(a *arena, who core.Actor) core.Command {
		return &core.Read{User: who.User, Conversation: a.id, Seq: 1}
	},
	"change the data": func(a *arena, who core.Actor) core.Command {
		text := "Tonight at eight"
		return &core.Update{Actor: who, Conversation: a.id, Announcement: &text}
	},
	"change the rules": func(a *arena, who core.Actor) core.Command {
		return &core.Update{Actor: who, Conversation: a.id, Settings: a.with(func(s *wire.Settings) { s.HistoryFromStart = true })}
	},
	"change who may do what": func(a *arena, who core.Actor) core.Command {
		return &core.Update{Actor: who, Conversation: a.id, Settings: a.with(func(s *wire.Settings) { s.MembersMax = 99 })}
	},
	"add members": func(a *arena, who core.Actor) core.Command {
		return &core.AddMembers{Actor: who, Conversation: a.id, Members: []tidemark.UserID{"zoe"}}
	},
	"answer requests to join": func(a *arena, who core.Actor) core.Command {
		return &core.AnswerJoin{Actor: who, Conversation: a.id, Users: []tidemark.UserID{"zoe"}, Accept: true}
	},
	"remove members": func(a *arena, who core.Actor) core.Command {
		return &core.RemoveMembers{Actor: who, Conversation: a.id, Members: []tidemark.UserID{"mia"}}
	},
	"mute members": func(a *arena, who core.Actor) core.Command {
		return &core.Mute{Actor: who, Conversation: a.id, Members: []tidemark.UserID{"mia"}, ForMs: 1000}
	},
	"change roles": func(a *arena, who core.Actor) core.Command {
		return &core.SetRole{Actor: who, Conversation: a.id, Members: []tidemark.UserID{"mia"}, Role: record.AdminRole}
	},
	"make owners": func(a *arena, who core.Actor) core.Command {
		return &core.SetRole{Actor: who, Conversation: a.id, Members: []tidemark.UserID{"mia"}, Role: record.OwnerRole}
	},
	"transfer the ownership": func(a *arena, who core.Actor) core.Command {
		return &core.Transfer{Actor: who, Conversation: a.id, Member: "mia"}
	},
	"dissolve the conversation": func(a *arena, who core.Actor) core.Command {
		return &core.Dissolve{Actor: who, Conversation: a.id}
	},
	"join":  func(a *arena, who core.Actor) core.Command { return &core.Join{Actor: who, Conversation: a.id} },
	"leave": func(a *arena, who core.Actor) core.Command { return &core.Leave{Actor: who, Conversation: a.id} },
	"set attributes": func(a *arena, who core.Actor) core.Command {
		return &core.SetAttributes{Actor: who, Conversation: a.id, Set: map[string]string{"own": "again"}}
	},
	"change the attributes of others": func(a *arena, who core.Actor) core.Command {
		return &core.SetAttributes{Actor: who, Conversation: a.id, Set: map[string]string{"others": "theirs"}}
	},
	"import": func(a *arena, _ core.Actor) core.Command {
		return &core.Import{Conversation: a.id}
	},
}

// untried are rights that no command of core asks for yet.
var untried = map[string]bool{}

// TestEveryCommandAsksForItsRight runs the commands themselves, in every circumstance, by everybody.
func TestEveryCommandAsksForItsRight(t *testing.T) {
	expected := parseRights(t)
	for what := range expected {
		if tries[what] == nil && !untried[what] {
			t.Errorf("no command is tried that takes the right to %s", what)
		}
	}
	allowed, refused := make(map[string]int), make(map[string]int)
	for _, c := range circumstances() {
		a := newArena(t, c)
		for _, what := range slices.Sorted(maps.Keys(tries)) {
			a.try(what, expected, core.Actor{App: true}, 0, allowed, refused)
			for user, role := range cast {
				if c.kind == record.Direct && role > record.MemberRole {
					continue
				}
				for _, who := range []core.Actor{{User: user}, {User: user, App: true}} { // the app for a user has that user's rights
					a.try(what, expected, who, role, allowed, refused)
				}
			}
		}
	}
	for what := range tries {
		if allowed[what] == 0 || refused[what] == 0 {
			t.Errorf("to %s: %d times allowed, %d times refused", what, allowed[what], refused[what])
		}
	}
}

func (a *arena) try(what string, rows map[string]rightsRow, who core.Actor, role record.Role, allowed, refused map[string]int) {
	app := who.User == ""
	switch {
	case app && (what == "join" || what == "leave" || strings.HasPrefix(what, "move a read mark")):
		return // nobody's for the app
	case what == "import" && !app:
		return // the command has no actor: only the app imports
	case role == 0 && !app && a.own[who.User] == 0:
		a.own[who.User] = a.others
	}
	want := rows[what].expect(what, a.c, role, app)
	switch {
	case a.c.kind == record.Direct && role == 0 && !app: // strangers are not told that there is one
		want = "UNKNOWN_CONVERSATION"
	case what == "mention everybody": // in what is posted
		if post := rows["post"].expect("post", a.c, role, app); post != "" {
			want = post
		}
	case what == "change the attributes of others": // by setting them
		if set := rows["set attributes"].expect("set attributes", a.c, role, app); set != "" {
			want = set
		}
	case what == "join" && a.c.kind == record.Room: // nobody's, also who is in it
	case what == "join" && role > 0 && a.c.kind != record.Direct:
		want = "" // who is a member has nothing to do
	}
	env, changes := benchEnv(), new(record.Changes)
	env.Position = a.memory.Partition().Position + 1
	reply := core.Evaluate(a.memory, tries[what](a, who), env, changes)
	got := reasonOf(reply.Err)
	if want == "NOT_ALLOWED" && got == "NOT_MEMBER" && role == 0 && !app {
		got = want // whether there is such a right here at all is not told to strangers
	}
	if got != want {
		a.t.Errorf("%s: to %s as %+v, who has role %s: %v, want %q", a.c, what, who, role, reply.Err, want)
	}
	if got == "" {
		allowed[what]++
	} else {
		refused[what]++
	}
}
