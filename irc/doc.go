// SPDX-License-Identifier: Apache-2.0

// Package irc reads logs of IRC channels and turns them into entries that a Tidemark server can import.
//
// A log is one file per day, named by its date, with lines as the bots of public channels write them:
//
//	[09:14] <ann> does anybody know?             a message
//	[09:15]  * bob looks it up                   an action (older logs: "=== bob looks it up")
//	[09:15] -bob:#chan- read the topic           a notice
//	=== eve [~eve@host.example]  has joined #chan
//	=== eve [~eve@host.example]  has left #chan ["bye"]
//	=== ann is now known as ann_away
//	=== mode/#chan [+o bob]  by ChanServ
//
// Use:
//
//	logs, err := irc.Open(paths)                  // sorted by date, nothing read yet
//	users, counts, err := logs.Survey()           // who appears, and what the lines are
//	plan := irc.NewPlan("#chan", irc.Naming{})    // lines become entries, with client ids of their own
//	summary, err := irc.Run(ctx, logs, target, irc.RunConfig{Conversation: "#chan"})
//
// # What becomes of a line
//
// No line is dropped in silence: each is one of the kinds of [Kind], or [Odd], and odd lines are listed with file and
// line number. Messages, actions and notices become messages of the types "text", "action" and "notice"; changes of
// mode and topic, and kicks, become messages of the types "mode", "topic" and "kick" by whoever made them. All but
// the first two have class SILENT: they are stored and shown, and count for nobody's unread.
// Joins, leaves and quits become membership; a kick also takes the kicked user out. Who does something, or leaves,
// without having been seen to join is joined first. These old logs do not tell who quits, so members stay members until
// they are seen to leave.
//
// # Who is who
//
// A user is named by the nick under which it appears first in a file ([UserOf] maps nicks to user ids, injectively).
// When a nick changes, the user stays: for the rest of that file the new nick means the same user, a message of type
// "nick" with the new nick as its text stands in the log at that place, and the user's profile gets the new nickname.
// The next file begins afresh: there is no telling who returns under which nick. The nickname that a profile has in the
// end is the last one in the last file.
//
// # When
//
// A line is dated by the file's name and its [HH:MM]. A clock that falls by six hours or more has passed midnight; if it
// does so once, the lines before belong to the day before the file's date. A smaller fall is a clock set back: the time
// stays. Lines without a time have that of the line before, or at the beginning of a file that of the first line with
// one. Time never falls, also not from file to file. Some logs before 2008 were written by a twelve-hour clock without
// saying which half of the day it was; their times are taken as written.
//
// # Again
//
// The client id of an entry is made of the date and the line number, so importing a file twice stores nothing twice, and
// an import that was interrupted goes on where it was. Two files of one date cannot be told apart and are refused.
//
// The package does not speak to servers: [Target] is implemented by whoever has one. It reads no formats but this one.
package irc
