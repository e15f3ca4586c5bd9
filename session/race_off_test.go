// SPDX-License-Identifier: Apache-2.0

//go:build !race

// Whether the tests run with the race detector.

package session

const raceDetector = false
