// SPDX-License-Identifier: Apache-2.0

// Files of logs: which day they are of, and when each of their lines was written.

package irc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Log is one file: a part of a day of a channel.
type Log struct {
	Path string
	Date time.Time // midnight UTC of the day in the file's name
}

// Name is the log's date as it stands in client ids: "2004-12-05".
func (l Log) Name() string { return l.Date.Format(time.DateOnly) }

// Logs are logs in the order of their dates.
type Logs []Log

var dateInName = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}`)

// Open lists the logs at paths, by date; a directory stands for the *.txt and *.log files in it. It reads no lines.
// It fails if a file's name has no date in it, or if two files have the same date.
func Open(paths []string) (Logs, error) {
	files, err := expand(paths)
	if err != nil {
		return nil, err
	}
	logs := make(Logs, 0, len(files))
	for _, path := range files {
		date, err := time.Parse(time.DateOnly, dateInName.FindString(filepath.Base(path)))
		if err != nil {
			return nil, fmt.Errorf("irc: %s: the file's name must have a date in it, like 2004-12-05.txt: lines are dated by it", path)
		}
		logs = append(logs, Log{Path: path, Date: date})
	}
	slices.SortStableFunc(logs, func(a, b Log) int { return a.Date.Compare(b.Date) })
	for i := 1; i < len(logs); i++ {
		if logs[i].Date.Equal(logs[i-1].Date) {
			return nil, fmt.Errorf("irc: %s and %s are of the same date: their lines could not be told apart; make one file of them", logs[i-1].Path, logs[i].Path)
		}
	}
	return logs, nil
}

func expand(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("irc: %w", err)
		case !info.IsDir():
			files = append(files, path)
			continue
		}
		for _, pattern := range []string{"*.txt", "*.log"} {
			found, err := filepath.Glob(filepath.Join(path, pattern))
			if err != nil {
				return nil, fmt.Errorf("irc: %s: %w", path, err)
			}
			files = append(files, found...)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("irc: no logs given: name files like 2004-12-05.txt, or a directory of them")
	}
	return files, nil
}

// Dated is a line with its place and time.
type Dated struct {
	Line
	Number int    // of the line in its file, from 1
	TimeMs uint64 // the minute it was written in; never below that of the line before
}

// midnightFall is how far a clock must fall, in minutes, to have passed midnight. Less is a clock that was set back.
const midnightFall = 6 * 60

// Read reads the whole log.
func (l Log) Read() ([]Dated, error) {
	data, err := os.ReadFile(l.Path)
	if err != nil {
		return nil, fmt.Errorf("irc: %w", err)
	}
	return ParseLog(data, l.Date), nil
}

// ParseLog reads the lines of a log of the given day. A line may end with CR LF; the last needs no line end; nothing
// but a byte order mark at the beginning is passed over.
func ParseLog(data []byte, date time.Time) []Dated {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	lines := make([]Dated, 0, bytes.Count(data, []byte("\n"))+1)
	for number := 1; len(data) > 0; number++ {
		raw, rest, _ := bytes.Cut(data, []byte("\n"))
		lines = append(lines, Dated{Line: ParseLine(bytes.TrimSuffix(raw, []byte("\r"))), Number: number})
		data = rest
	}
	setTimes(lines, date)
	return lines
}

// setTimes gives every line its time. The file's date is the day after the first midnight in it, if there is one.
func setTimes(lines []Dated, date time.Time) {
	clock, midnights := -1, 0
	for _, line := range lines {
		if line.Clock >= 0 {
			midnights += passed(clock, line.Clock)
			clock = line.Clock
		}
	}
	day := date.UnixMilli()
	if midnights > 0 {
		day -= dayMs
	}
	clock = 0
	for _, line := range lines {
		if line.Clock >= 0 {
			clock = line.Clock
			break
		}
	}
	now, last := day+int64(clock)*minuteMs, int64(0)
	for i := range lines {
		if lines[i].Clock >= 0 {
			day += int64(passed(clock, lines[i].Clock)) * dayMs
			clock = lines[i].Clock
			now = day + int64(clock)*minuteMs
		}
		last = max(last, now)
		lines[i].TimeMs = uint64(last)
	}
}

const (
	minuteMs = 60_000
	dayMs    = 24 * 60 * minuteMs
)

// passed is 1 if a clock that showed before and shows after, in minutes, passed midnight in between.
func passed(before, after int) int {
	if before-after >= midnightFall {
		return 1
	}
	return 0
}
