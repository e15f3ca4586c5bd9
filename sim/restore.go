// SPDX-License-Identifier: Apache-2.0

// The epoch of a copy that takes the place of newer data.

package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/store"
)

// newEpoch gives a copy of a data directory a new epoch.
func newEpoch(mem *vfs.MemFS, chance *rand.Rand) (tidemark.Epoch, error) {
	path := mem.PathJoin(dataDir, "TIDEMARK")
	data, ok := contentOf(mem, path)
	var meta store.Meta
	if err := json.Unmarshal(data, &meta); !ok || err != nil {
		return 0, fmt.Errorf("a copy of the data says not what it is: %w", err)
	}
	meta.Epoch = tidemark.Epoch(chance.Uint64()>>1 | 1)
	data, err := json.Marshal(meta)
	if err != nil {
		return 0, err
	}
	f, err := mem.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	_ = f.Close()
	return meta.Epoch, err
}
