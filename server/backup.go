// SPDX-License-Identifier: Apache-2.0

// Backups of a running server: one at a time, into a folder that the operator has named, told in the log and in figures.

package server

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// backups counts what became of the backups since the start. Safe for concurrent use.
type backups struct {
	made, failed atomic.Uint64
	lastMs       atomic.Uint64 // when the last one was complete; 0: none since the start
	lastBytes    atomic.Uint64
	lastTookMs   atomic.Uint64
}

// backup makes one; the empty name is that of the time. Its errors are refusals.
func (s *Server) backup(name string) (*wire.CheckpointResponse, error) {
	begin, log := time.Now(), s.config.Log
	if name == "" {
		name = store.BackupName(s.config.nowMs())
	}
	log.Info("a backup begins", "name", name, "folder", s.config.Backups)
	b, err := s.db.Checkpoint(s.config.Backups, name)
	took := time.Since(begin)
	if err != nil {
		s.backups.failed.Add(1)
		log.Error("a backup failed", "name", name, "folder", s.config.Backups, "took", took, "err", err)
		return nil, refusedBackup(err)
	}
	s.backups.made.Add(1)
	s.backups.lastMs.Store(b.MadeMs)
	s.backups.lastBytes.Store(b.Bytes())
	s.backups.lastTookMs.Store(uint64(took.Milliseconds()))
	log.Info("a backup is complete", "path", b.Dir, "bytes", b.Bytes(), "took", took)
	path, err := filepath.Abs(b.Dir)
	if err != nil {
		path = b.Dir
	}
	answer := &wire.CheckpointResponse{Path: path, Bytes: b.Bytes(), Epoch: uint64(b.Epoch), MadeMs: b.MadeMs}
	for _, position := range b.Positions {
		answer.Positions = append(answer.Positions, uint64(position))
	}
	return answer, nil
}

// refusedBackup is what the operator is told.
func refusedBackup(err error) error {
	reason := tidemark.Unavailable
	switch {
	case errors.Is(err, store.ErrBackupName):
		reason = tidemark.BadArgument
	case errors.Is(err, store.ErrBackupExists):
		reason = tidemark.AlreadyExists
	case errors.Is(err, store.ErrTooManyBackups):
		reason = tidemark.TooMany
	}
	return tidemark.Refuse(reason, "no backup was made: %v", err)
}
