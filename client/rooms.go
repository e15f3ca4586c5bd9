// SPDX-License-Identifier: Apache-2.0

// Rooms: conversations of those who are there, for as long as they are. Everything about them is in memory.

package client

import (
	"context"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
)

// EnterRoom enters a room and gives its public data, its attributes among them, and its last events. What happens there
// from then on comes as [RoomEvent] and [RoomChanged], until [Client.LeaveRoom], or until the user is taken out. When the
// connection breaks, the device enters the room again by itself, and the first RoomEvent afterwards says how many events
// were left out. Entering a room that the device is in already only reads it.
//
// It needs the connection that Run keeps ([Client.WaitSynced]): without one it errs with [ErrDisconnected]. It returns the
// server's refusal (*tidemark.Error): UNKNOWN_CONVERSATION, BAD_ARGUMENT for what is no room, NOT_ALLOWED where only those
// are let in who were added, TOO_MANY. If ctx ends first, the room is not entered.
//
// A room is on no list of conversations and nothing of it is stored: it is left when the process ends. The profiles of who
// writes there are kept like all others.
//
// Sending works as everywhere ([Client.Send], React, Recall and so on), but what is sent to a room waits in memory only: over a
// broken connection until the room is entered again, then it is there exactly once; it fails with NOT_MEMBER when the room
// is left, and is lost with the process. [Client.History] pages through what the server keeps.
func (c *Client) EnterRoom(ctx context.Context, id tidemark.ConversationID) (*Room, error) {
	_, err := c.wait(ctx, func(r *replica.Replica, v View, nowMs, token uint64) (replica.Output, error) {
		return r.EnterRoom(v, nowMs, token, id)
	})
	if err != nil {
		if ctx.Err() != nil && c.failedToEnter(id) {
			_ = c.LeaveRoom(context.WithoutCancel(ctx), id)
		}
		return nil, err
	}
	room, in := c.Room(id)
	if !in {
		return nil, tidemark.Refuse(tidemark.NotMember, "the room %s was left meanwhile", id)
	}
	return room, nil
}

// failedToEnter reports whether the device is not in a room: another call may have entered it.
func (c *Client) failedToEnter(id tidemark.ConversationID) bool {
	_, in := c.Room(id)
	return !in
}

// LeaveRoom leaves a room. What was sent there and not answered yet fails. Leaving one that the device is not in does
// nothing.
func (c *Client) LeaveRoom(ctx context.Context, id tidemark.ConversationID) error {
	return c.doWithin(ctx, func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
		return r.LeaveRoom(v, nowMs, id)
	})
}

// Room is a room that the device is in, as it is now; what waits to be sent there is in [Client.Pending]. Each call copies
// the messages.
func (c *Client) Room(id tidemark.ConversationID) (room *Room, in bool) {
	c.peek(func(r *replica.Replica) { room = r.Room(id) })
	return room, room != nil
}

// Rooms are the ids of the rooms that the device is in, ascending.
func (c *Client) Rooms() (ids []tidemark.ConversationID) {
	c.peek(func(r *replica.Replica) { ids = r.Rooms() })
	return ids
}
