// SPDX-License-Identifier: Apache-2.0

// What the server counts itself, read from its /metrics.

package bench

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// readMetrics reads the server's figures by the names they have there, labels included.
func readMetrics(ctx context.Context, target *Target) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.URL+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("bench: read the metrics: %w", err)
	}
	defer response.Body.Close()
	found := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if found[name], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("bench: the metric %s: %w", name, err)
		}
	}
	if err := lines.Err(); err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("bench: read the metrics: %s: %w", response.Status, err)
	}
	return found, nil
}

// journalBytes is how much the partitions have given to the journal, all together.
func journalBytes(ctx context.Context, target *Target) (uint64, error) {
	found, err := readMetrics(ctx, target)
	if err != nil {
		return 0, err
	}
	var total float64
	partitions := 0
	for name, value := range found {
		if strings.HasPrefix(name, "tidemark_journal_bytes_total{") {
			total += value
			partitions++
		}
	}
	if partitions == 0 {
		return 0, fmt.Errorf("bench: the server's metrics have no tidemark_journal_bytes_total")
	}
	return uint64(total), nil
}

// blocksRead is how many blocks the store has read from its files because they were not in memory.
func blocksRead(ctx context.Context, target *Target) (uint64, error) {
	const name = "tidemark_block_cache_misses_total"
	found, err := readMetrics(ctx, target)
	if err != nil {
		return 0, err
	}
	value, ok := found[name]
	if !ok {
		return 0, fmt.Errorf("bench: the server's metrics have no %s", name)
	}
	return uint64(value), nil
}
