// SPDX-License-Identifier: Apache-2.0

// Package sim runs the server and its devices in a simulated world, in which a seed decides everything, and looks whether
// they keep their promises.
//
//	result := sim.Run(ctx, sim.Config{Seed: 77})
//	if f := result.Failure; f != nil {
//		fmt.Println(f.Error(), f.Command) // S8: …   tidemark sim --seed 77 --story
//	}
//
// What runs is real: store on Pebble, journal, partition, core, session, and on the devices client/replica over
// client.Memory. What is simulated is around it: the clocks, the network between devices and sessions, over which encoded
// frames go, the disk, the calls of an app's back end, the users. One goroutine does it all: a queue of events by virtual
// time (events.go) steps a partition, asks a session for its next frame, gives a device what has come, each a little later
// than it could be, as the lots fall. A seed draws a profile (profile.go) and then a plan of actions and faults (plan.go),
// each of which can be left out alone. After the plan comes the calm: everything is mended, and within a bound all devices
// must have what the server has (settle.go).
//
// Checks hook in at two places. world.observer, an invariant.Observer, is told of every frame and call as devices and apps
// see them, and of what breaks; what its Checker finds ends the world at once. And functions of (*world) that look at the
// store and the replicas directly may be called between any two events: world.settle calls them at the end. world.fail
// reports a violation.
//
// The package listens on no port, starts no goroutine (Pebble has its own) and reads no clock. docs/simulator.md says what
// is simulated and what is not.
package sim
