// SPDX-License-Identifier: Apache-2.0

// Calls over HTTP with JSON, as a back end makes them.

package conformance

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

// caller is somebody who calls: what the headers say.
type caller struct {
	play          *play
	authorization string // the header Authorization
	user          string // the header Tidemark-User
}

// who is a user or a caller.
type who interface{ asCaller() caller }

func (c caller) asCaller() caller { return c }

// app is the app's back end.
func (p *play) app() caller { return caller{play: p, authorization: "Bearer " + p.kit.config.AdminKey} }

// appFor is the app's back end acting for a user.
func (p *play) appFor(u *user) caller {
	c := p.app()
	c.user = u.id
	return c
}

// bearer is whoever has this token.
func (p *play) bearer(token string) caller { return caller{play: p, authorization: "Bearer " + token} }

// refusal is an answer that is no success.
type refusal struct {
	status  int    // of HTTP
	code    string // of Connect
	message string
	detail  *wire.Error // nil: there was none
	text    string      // the whole answer
}

// reason is the reason in the error's details.
func (r *refusal) reason() wire.Reason { return r.detail.GetReason() }

// isReason tells whether it is a refusal with this reason.
func (r *refusal) isReason(reason wire.Reason) bool { return r != nil && r.reason() == reason }

// String is the refusal for people.
func (r *refusal) String() string {
	if r == nil {
		return "success"
	}
	if r.detail == nil {
		return fmt.Sprintf("HTTP %d %s", r.status, clip(r.text))
	}
	return fmt.Sprintf("HTTP %d %s, reason %v: %s", r.status, r.code, r.reason(), clip(r.message))
}

// answerTo makes an empty message of a type.
func answerTo[A proto.Message]() A {
	var none A
	return none.ProtoReflect().Type().New().Interface().(A)
}

// try calls a method ("UserService/Get") and answers either.
func try[A proto.Message](w who, method string, request proto.Message) (A, *refusal) {
	c := w.asCaller()
	answer := answerTo[A]()
	status, text, err := c.play.exchange(c, method, request)
	switch {
	case err != nil:
		c.play.fail("an answer of "+method, "%v", err)
	case status != http.StatusOK:
		return answer, refusalOf(status, text)
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, answer); err != nil {
		c.play.fail("an answer of "+method+" in JSON", "%v: %s", err, text)
	}
	return answer, nil
}

// call calls a method and fails the check unless it succeeds.
func call[A proto.Message](w who, method string, request proto.Message) A {
	answer, refusal := try[A](w, method, request)
	if refusal != nil {
		w.asCaller().play.fail("success of "+method+" "+show(request), "%v", refusal)
	}
	return answer
}

// refuse calls a method and fails the check unless it is refused with this reason.
func refuse(w who, method string, request proto.Message, reason wire.Reason) *refusal {
	_, r := tryAny(w, method, request)
	if r == nil || r.reason() != reason {
		w.asCaller().play.fail(fmt.Sprintf("%s %s is refused with %v", method, show(request), reason), "%v", r)
	}
	return r
}

// tryAny is try where nobody looks at the answer.
func tryAny(w who, method string, request proto.Message) (string, *refusal) {
	c := w.asCaller()
	status, text, err := c.play.exchange(c, method, request)
	switch {
	case err != nil:
		c.play.fail("an answer of "+method, "%v", err)
	case status != http.StatusOK:
		return "", refusalOf(status, text)
	}
	return string(text), nil
}

// refusalOf reads an error as Connect writes it.
func refusalOf(status int, text []byte) *refusal {
	r := &refusal{status: status, text: string(text)}
	var body struct {
		Code    string
		Message string
		Details []struct{ Type, Value string }
	}
	if json.Unmarshal(text, &body) != nil {
		return r
	}
	r.code, r.message = body.Code, body.Message
	for _, d := range body.Details {
		detail := &wire.Error{}
		value, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(d.Value, "="))
		if d.Type == "tidemark.v1.Error" && err == nil && proto.Unmarshal(value, detail) == nil {
			r.detail = detail
		}
	}
	return r
}

// exchange calls a method and answers what came; the error is that of the network.
func (p *play) exchange(c caller, method string, request proto.Message) (status int, text []byte, err error) {
	p.beat()
	body, err := wire.AppendJSON(nil, request)
	if err != nil {
		return 0, nil, err
	}
	return p.send(http.MethodPost, "/tidemark.v1."+method, c.headers(), body)
}

func (c caller) headers() http.Header {
	header := http.Header{"Content-Type": {"application/json"}}
	if c.authorization != "" {
		header.Set("Authorization", c.authorization)
	}
	if c.user != "" {
		header.Set("Tidemark-User", c.user)
	}
	return header
}

// post calls a method with a body that may be anything.
func (p *play) post(c caller, method, body string) (status int, text string) {
	status, answer, err := p.send(http.MethodPost, "/tidemark.v1."+method, c.headers(), []byte(body))
	if err != nil {
		p.fail("an answer of "+method, "%v", err)
	}
	return status, string(answer)
}

// answerBytesMax bounds what is read of one answer.
const answerBytesMax = 64 << 20

// callTimeouts times Config.Timeout is what one call may take, that of a Pull which waits included.
const callTimeouts = 2

func (p *play) send(verb, path string, header http.Header, body []byte) (status int, text []byte, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, callTimeouts*p.kit.config.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, verb, p.kit.config.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := p.kit.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(io.LimitReader(response.Body, answerBytesMax))
	return response.StatusCode, text, err
}

// startsWithReason tells whether a message begins with the reason's name.
func startsWithReason(message string, reason wire.Reason) bool {
	return strings.HasPrefix(message, reason.String()+":")
}
