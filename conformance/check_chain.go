// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 3: the chain.

package conformance

import (
	"bytes"
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

var checksOfChain = []check{
	{"3.1", "a log with every kind of event verifies from h(0) to the head, in protobuf and in JSON", checkWholeChain},
	{"3.2", "erasing drops salt and body, keeps the hash, and leaves every digest as it was", checkErasedChain},
	{"3.4", "Verify answers the chain value at any seq the user may see, so that a first difference is found by halving", checkVerify},
	{"3.5", "with the digest of a head comes its seal of 16 bytes, the same everywhere, another for every event", checkSeals},
}

// everyKind makes a log of a group with an event of each kind, and answers its head.
func everyKind(p *play, alice, bob *user) (team string, head uint64) {
	team = p.group(alice, bob)
	s := p.say(alice, team, "one")
	p.say(bob, team, "two, with ünïcödé and \x00")
	edit(p, alice, team, s.GetSeq(), "edited")
	react(p, bob, team, s.GetSeq(), "+1")
	call[*wire.Submitted](alice, "MessageService/Submit", &wire.SubmitRequest{Conversation: team, ClientId: p.id("p"),
		Action: &wire.SubmitRequest_Pin{Pin: &wire.Pin{Seq: s.GetSeq()}}})
	title := "a title"
	call[*wire.UpdateResponse](alice, "ConversationService/Update", &wire.UpdateRequest{Conversation: team, Title: &title, Custom: map[string]string{"b": "2", "a": "1"}})
	gone := p.say(alice, team, "to be erased")
	recall(p, bob, team, s.GetSeq()+1)
	last := call[*wire.Submitted](alice, "MessageService/Erase", &wire.EraseRequest{Conversation: team, Seq: gone.GetSeq()})
	return team, last.GetSeq()
}

// wholeChain verifies a whole log and answers h(1) to h(head).
func wholeChain(p *play, team string, events []*wire.Event, head uint64, headDigest []byte) []tidemark.Digest {
	digests := []tidemark.Digest{chain.Start(tidemark.ConversationID(team))}
	for i, e := range events {
		p.must(e.GetSeq() == uint64(i)+1, "events with dense seqs from 1", "seq %d at place %d", e.GetSeq(), i+1)
		digests = append(digests, linked(digests[i], e))
	}
	p.must(uint64(len(events)) == head, fmt.Sprintf("%d events", head), "%d", len(events))
	p.must(bytes.Equal(digests[head][:], headDigest), fmt.Sprintf("the chain from h(0) over %d events gives headDigest %x", head, headDigest), "%x", digests[head])
	return digests
}

func checkWholeChain(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team, head := everyKind(p, alice, bob)
	for _, format := range []wire.Format{wire.Proto, wire.JSON} {
		d := p.connectIn(format, bob, format.Subprotocol()[len("tidemark.v1+"):])
		page := d.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_After{}, Limit: 100})
		wholeChain(p, team, page.GetEvents(), head, page.GetHeadDigest())
	}
	page := call[*wire.Fetched](bob, "MessageService/Fetch", &wire.FetchRequest{Conversation: team, From: &wire.FetchRequest_After{}, Limit: 100})
	wholeChain(p, team, page.GetEvents(), head, page.GetHeadDigest())
	direct := call[*wire.Submitted](alice, "MessageService/Submit", &wire.SubmitRequest{ToUser: bob.id, ClientId: p.id("m"), Action: textAction("x")})
	page = call[*wire.Fetched](bob, "MessageService/Fetch", &wire.FetchRequest{Conversation: direct.GetConversation(), From: &wire.FetchRequest_After{}})
	wholeChain(p, direct.GetConversation(), page.GetEvents(), direct.GetSeq(), direct.GetDigest())
}

func checkErasedChain(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	p.sayMany(alice, team, 4)
	page := func() *wire.Fetched {
		return p.connect(bob, p.id("d")[len(p.kit.prefix):]).fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_After{}, Limit: 100})
	}
	before := page()
	digests := wholeChain(p, team, before.GetEvents(), before.GetHeadSeq(), before.GetHeadDigest())
	call[*wire.Submitted](alice, "MessageService/Erase", &wire.EraseRequest{Conversation: team, Seq: 3})
	after := page()
	now := wholeChain(p, team, after.GetEvents(), after.GetHeadSeq(), after.GetHeadDigest())
	for seq := range digests {
		equal(p, fmt.Sprintf("the digest at %d after the erasure", seq), now[seq], digests[seq])
	}
	e := after.GetEvents()[2]
	hash := chain.BodyHash([8]byte(before.GetEvents()[2].GetSalt()), before.GetEvents()[2].GetBody())
	equal(p, "bodyHash of the erased event", e.GetBodyHash(), hash[:])
	p.must(len(e.GetSalt()) == 0 && len(e.GetBody()) == 0 && e.GetErased() == after.GetHeadSeq(), "neither salt nor body, and erased with the seq of the erasure", "%s", show(e))
}

func checkVerify(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team, head := everyKind(p, alice, bob)
	page := p.connect(bob, "phone").fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_After{}, Limit: 100})
	digests := wholeChain(p, team, page.GetEvents(), head, page.GetHeadDigest())
	verify := func(seq uint64) *wire.VerifyResponse {
		return call[*wire.VerifyResponse](bob, "SyncService/Verify", &wire.VerifyRequest{Conversation: team, Seq: seq})
	}
	for seq := uint64(1); seq <= head; seq++ {
		answer := verify(seq)
		equal(p, "the seq that Verify answers", answer.GetSeq(), seq)
		equal(p, fmt.Sprintf("the digest at %d", seq), answer.GetDigest(), digests[seq][:])
		p.must(answer.GetHeadSeq() == head && bytes.Equal(answer.GetHeadDigest(), digests[head][:]), "the head beside it", "%s", show(answer))
	}
	p.must(verify(0).GetSeq() == head, "0 asks for the head", "%s", show(verify(0)))

	// A device whose history differs from event 4 on finds that by halving.
	mine := append([]tidemark.Digest(nil), digests...)
	for seq := 4; seq <= int(head); seq++ {
		mine[seq][0] ^= 1
	}
	low, high := uint64(0), head // they agree at low, not at high
	for high-low > 1 {
		if middle := (low + high) / 2; bytes.Equal(verify(middle).GetDigest(), mine[middle][:]) {
			low = middle
		} else {
			high = middle
		}
	}
	equal(p, "the first difference", high, uint64(4))
	refuse(p.user("carol"), "SyncService/Verify", &wire.VerifyRequest{Conversation: team, Seq: 1}, wire.Reason_NOT_MEMBER)
}

func checkSeals(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone, other := p.connect(alice, "phone"), p.connect(bob, "phone")
	first, s := phone.say(team, "x"), phone.say(team, "y")
	if len(s.GetSeal()) == 0 {
		p.skip("the server leaves seals out: it has no key for them")
	}
	p.must(len(first.GetSeal()) == 16 && !bytes.Equal(first.GetSeal(), s.GetSeal()), "seals of 16 bytes, another for every event", "%x and %x", first.GetSeal(), s.GetSeal())
	other.hasSeq(team, s.GetSeq())
	for _, c := range other.conversation(team).deltas {
		p.must((len(c.GetHeadDigest()) > 0) == (len(c.GetHeadSeal()) > 0), "a seal with headDigest, and only with it", "%s", show(c))
	}
	fresh := p.connect(bob, "tablet").beforeSynced()[0]
	listed := call[*wire.ListResponse](bob, "ConversationService/List", &wire.ListRequest{}).GetConversations()[0]
	for where, seal := range map[string][]byte{
		"a delta of the sync": fresh.GetHeadSeal(),
		"a fetched page":      other.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_Latest{Latest: true}}).GetHeadSeal(),
		"Verify":              call[*wire.VerifyResponse](bob, "SyncService/Verify", &wire.VerifyRequest{Conversation: team, Seq: 1}).GetHeadSeal(),
		"a summary":           listed.GetHeadSeal(),
	} {
		equal(p, "the seal of the head in "+where, seal, s.GetSeal())
	}
}
