// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 1: ways in.

package conformance

import (
	"errors"
	"net/http"
	"strings"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfWays = []check{
	{"1.1", "a connection that offers no subprotocol of ours is refused with 400 and a text that names both", checkNoSubprotocol},
}

func checkNoSubprotocol(p *play) {
	for _, offered := range [][]string{nil, {"chat"}} {
		_, err := p.tryDial(offered, http.Header{})
		refused, is := errors.AsType[*refusedUpgrade](err)
		p.must(is && refused.status == http.StatusBadRequest, "HTTP 400", "%v", err)
		for _, name := range []string{wire.SubprotocolProto, wire.SubprotocolJSON} {
			p.must(strings.Contains(refused.text, name), "a text that names "+name, "%s", refused.text)
		}
	}
}
