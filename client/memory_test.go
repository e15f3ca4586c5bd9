// SPDX-License-Identifier: Apache-2.0

// The store in memory is a store as storetest understands it.

package client_test

import (
	"testing"

	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) client.Store { return client.NewMemory() })
}
