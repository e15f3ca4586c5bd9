// SPDX-License-Identifier: Apache-2.0

// Package conformance checks that a server keeps PROTOCOL.md: each numbered statement has one check or more. It plays the
// part of devices and of an app's back end, and knows nothing of the server but its address, an admin key and the wire.
// So it runs against any server of the protocol, and through any proxy in front of one.
//
//	kit, err := conformance.New(ctx, conformance.Config{URL: "https://chat.example", AdminKey: key})
//	...
//	report := kit.Run(ctx, func(r conformance.Result) { ... }) // called once for each check, as they end
//
// # How a check is written
//
// A check is a row in a table of its file (check_*.go), which stands in the list `tables` in check.go:
//
//	var checksOfSync = []check{
//		{"2.4", "a device that connects again replaces its earlier session, which hears bye REPLACED", checkReplaced},
//	}
//
//	func checkReplaced(p *play) {
//		alice := p.user("alice")
//		first := p.connect(alice, "phone")
//		p.connect(alice, "phone")
//		bye := first.bye()
//		equal(p, "the reason of bye", bye.GetReason(), wire.ByeReason_REPLACED)
//	}
//
// It has the number of one statement, a sentence that says what is checked, and a function. The function gets a play:
// one run of one check, with users, devices and conversations of its own, so that checks run beside each other. It ends
// at the first thing that is not as it must be; there are no errors to be returned. A check that the server cannot be put
// to says so: p.skip("the server has no rooms").
//
// Who asks, over HTTP: a user (by its own token), p.app() (the admin key), p.appFor(user) (the admin key, for a user).
//
//	answer := call[*wire.FetchResponse](alice, "MessageService/Fetch", request) // fails the check unless it succeeds
//	refuse(bob, "MessageService/Fetch", request, wire.Reason_NOT_MEMBER)        // fails the check unless refused so
//	answer, refusal := try[*wire.Fetched](alice, ...)                           // for what may be either
//	status, text := p.post("UserService/Get", headers, body)                    // bytes as they are
//
// Devices: p.connect(user, device) says hello and reads until synced; p.dial(format) gives a bare connection for
// malformed frames. A device reads when it is asked to, keeps all that it has read in d.frames, and folds deltas, pages
// and answers into d.held, one row for a conversation.
//
//	d.send(frame); d.sendBytes(op, bytes)            // a frame, or anything at all
//	d.submit(request), d.fetch(request)              // sends and waits for the answer to it
//	d.until("a signal that bob types", func(*wire.ServerFrame) bool)
//	d.hasSeq(conversation, 7)                        // reads until the event is there
//	d.bye(), d.closed()                              // reads until the end
//
// Expectations: equal(p, what, seen, expected); p.must(condition, expected, seen...); p.fail(expected, seen). What
// must NOT come is looked for before something that must come after it: a later message in the same conversation. Where
// there is nothing of that kind, d.silence waits a moment.
//
// A check that waits for time to pass (a token's end, a timeout) says how long it will take at least by p.waits(d): it
// then takes no place from others, and is skipped where Config.Patience is less.
//
// Nothing may be assumed of the server's settings: limits are in p.kit.welcome. What cannot be checked from outside is
// listed in `unchecked` in check.go, with the reason; tests hold that every statement is in one of the two lists, and
// spoil_test.go that checks fail where a server does it wrong. When you add a check, add a way of spoiling there.
package conformance
