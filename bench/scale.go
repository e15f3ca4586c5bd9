// SPDX-License-Identifier: Apache-2.0

// tidemark bench cores and tidemark bench partitions: the same load on servers that differ in one thing.

package bench

import (
	"context"
	"fmt"
	"strconv"
)

// ScaleConfig describes [Scale].
type ScaleConfig struct {
	Cores      int // that the server's Go code may use at once; 0: all
	Partitions int // of its data; 0: the default
	Send       SendConfig
}

// Scale measures sends on a server of its own with so many cores or partitions.
func Scale(ctx context.Context, server ServerConfig, config ScaleConfig, output Output) ([]Result, error) {
	name, what := "partitions", fmt.Sprintf("%d partitions", config.Partitions)
	if config.Partitions > 0 {
		server.Args = append(append([]string{}, server.Args...), "--partitions", strconv.Itoa(config.Partitions))
	}
	if config.Cores > 0 {
		name, what = "cores", fmt.Sprintf("%d cores for the server", config.Cores)
		server.Env = append(append([]string{}, server.Env...), "GOMAXPROCS="+strconv.Itoa(config.Cores))
	}
	running, err := StartServer(ctx, server)
	if err != nil {
		return nil, err
	}
	defer running.Kill()
	results, err := Send(ctx, &running.Target, config.Send, output)
	for i := range results {
		r := &results[i]
		r.Name, r.What, r.Cores, r.Partitions = name, what+": "+r.What, config.Cores, config.Partitions
	}
	if err != nil {
		return results, err
	}
	return results, running.Stop(stopPatience)
}
