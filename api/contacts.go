// SPDX-License-Identifier: Apache-2.0

// ContactService: who is whose contact.

package api

import "github.com/tidemark-im/tidemark/wire/wireconnect"

type contactService struct {
	*API
	wireconnect.UnimplementedContactServiceHandler
}
