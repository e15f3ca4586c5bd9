// SPDX-License-Identifier: Apache-2.0

// What is said when a server was restored from an older copy.

package chat

import "github.com/tidemark-im/tidemark/client"

// sayBehind tells that the server lacks messages that are here, or has them again.
func (m *Model) sayBehind(event client.ServerBehind) {
	if event.To == 0 {
		m.say("The server has all of %s again.", m.title(event.Conversation))
		return
	}
	m.say("The server was restored and lacks the last messages of %s; they are kept here and given back if it takes them.", m.title(event.Conversation))
}

// sayHistory tells that the history was rewritten, and how many own messages were lost by it.
func (m *Model) sayHistory(event client.HistoryChanged) {
	if n := len(event.Own); n > 0 {
		m.say("The server's history of %s changed here; %d of your messages are lost.", m.title(event.Conversation), n)
		return
	}
	m.say("The server's history of %s changed here; it is being read again.", m.title(event.Conversation))
}
