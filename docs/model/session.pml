/* SPDX-License-Identifier: Apache-2.0 */

/* The dirty set and the checkpoint protocol: one partition, two conversations of one user, one device of that user, which
 * also writes. What stands for what in the code is told in README.md, which a test holds to the code.
 *
 * Nothing here is timed: every order of the steps below is tried. A step (atomic) is what the code does under one lock, or
 * alone. Position p is the p-th commit; a set of conversations or of positions is a bit mask.
 *
 * Each macro named in variants.txt breaks one rule. */

#ifndef COMMITS
#define COMMITS 3   /* of the partition; below 8 */
#endif
#ifndef CUTS
#define CUTS 1      /* of the connection */
#endif
#ifndef CRASHES
#define CRASHES 1   /* of the server */
#endif
#define OWED 2      /* answers after which a checkpoint is told */

#define BIT(n) (1 << (n))
#define UPTO(n) (BIT((n) + 1) - 1) /* the positions 0..n */

/* The log. Conversation 0 is where the device writes; a commit has an event of others in some of the conversations, and
 * perhaps one of the device. */
byte others[COMMITS + 1]; /* by position: the conversations in which others wrote */
byte own;                 /* the positions of the device's events, in conversation 0 */
byte committed;           /* durable and applied: heads have moved */
byte published;
byte head[2];             /* by conversation: the position of its last event */

/* The partition's loop. */
mtype = { idle, applied, replied, waking, told_all };
mtype phase = idle;
byte toWake;       /* conversations of the commit whose wake is to come */
bool answering;    /* the commit has an answer for the session */
bool readyFollows; /* a wake has asked for Ready */

/* Connecting. A session that is not open is not there. */
mtype = { closed, staged, listed, registered, bounded, opened };
mtype opening = closed;

/* The session, as in struct Session and struct part. */
bool subscribed, live, ready, woken, unclean, owing;
byte dirty, checkpoint, told, outbox, owns, owed;
byte mine; /* positions of what was submitted through this session */

/* Its round. */
bool initial, going, sent;
byte from, upTo, items, again;

/* The device: what it has stored. */
bool link;
byte hasOthers[COMMITS + 1], hasOwn, cursor;

/* Its acknowledgement, in memory and saved. */
byte acked, saved;

byte cuts, crashes;
byte i, low; /* scratch */

/* ---- what must hold ---- */

/* No event up to n is missing at the device. */
inline holdsAll(n) {
	i = 1;
	do
	:: i <= n -> assert(hasOthers[i] == others[i]); i++
	:: else -> break
	od;
	assert((own & UPTO(n) & ~hasOwn) == 0);
	i = 0
}

inline checkpointHolds() {
	assert(checkpoint <= published && published <= committed);
	if
	:: link -> holdsAll(checkpoint)
	:: else
	fi
}

/* A checkpoint is written to the connection; the device stores it with what came before it. */
inline tell(n) {
	told = n;
	assert(told <= checkpoint);
	if
	:: link -> assert(cursor <= told); cursor = told; holdsAll(cursor)
	:: else
	fi
}

/* An acknowledgement names only what the device has stored. */
inline acknowledge(n) {
	acked = n;
	assert(acked <= cursor && acked <= published)
}

/* ---- the session ---- */

inline close() {
	opening = closed; link = false;
	subscribed = false; live = false; ready = false; woken = false; unclean = false; owing = false;
	dirty = 0; checkpoint = 0; told = 0; outbox = 0; owns = 0; owed = 0; mine = 0;
	initial = false; going = false; sent = false; from = 0; upTo = 0; items = 0; again = 0;
	answering = false; readyFollows = false
}

inline wake(c, position) {
	if
	:: subscribed ->
		if
		:: !unclean ->
			unclean = true;
			if
			:: outbox == 0 && position - 1 > checkpoint -> checkpoint = position - 1
			:: else
			fi;
			checkpointHolds()
		:: else
		fi;
		dirty = dirty | BIT(c);
		if
		:: !woken -> woken = true; readyFollows = true
		:: else
		fi
	:: else
	fi
}

/* The lowest position in the outbox, or after all positions. */
inline first() {
	low = 1;
	do
	:: low <= COMMITS && !(outbox & BIT(low)) -> low++
	:: else -> break
	od
}

#ifdef ANSWER_OVERTAKES
#define mayLeave (outbox != 0)
#else
#define mayLeave (outbox != 0 && (low <= checkpoint + 1 || !unclean))
#endif

/* A round would bring the device forward: it ends before the commit of an answer that waits. */
#ifdef ROUND_NOT_CUT
#define cut false
#else
#define cut (outbox != 0 && low > checkpoint && low - 1 < published)
#endif
#define worthIt (dirty != 0 && ((cut && low - 1 > checkpoint) || (!cut && published > checkpoint)))

inline plan() {
	from = checkpoint; upTo = published;
	if
	:: cut -> upTo = low - 1
	:: else
	fi;
	items = dirty; dirty = 0; again = 0; sent = false; going = true
}

/* The round gives what conversation c has past from and up to upTo. */
inline give(c) {
#ifndef DIRTY_LEFT_EARLY
	if
	:: head[c] > upTo -> again = again | BIT(c)
	:: else
	fi;
#endif
	i = from + 1;
	do
	:: i <= upTo ->
		if
		:: others[i] & BIT(c) ->
#ifndef ANY_ORDER
			assert(low > i); /* answers of lower positions, and of this one, went before */
#endif
			sent = true;
			if
			:: link -> hasOthers[i] = hasOthers[i] | BIT(c)
			:: else
			fi
		:: else
		fi;
		if
		:: c == 0 && (own & BIT(i)) && !(owns & BIT(i)) ->
#ifndef ANY_ORDER
			assert(!(mine & BIT(i))); /* submitted stands for it */
#endif
			sent = true;
			if
			:: link -> hasOwn = hasOwn | BIT(i)
			:: else
			fi
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	items = items & ~BIT(c)
}

inline cover() {
	if
	:: upTo > checkpoint -> checkpoint = upTo
	:: else
	fi;
	dirty = dirty | again; again = 0;
#ifdef CLEAN_UNSEEN
	unclean = false;
#else
	unclean = (dirty != 0);
#endif
	owns = owns & ~UPTO(upTo);
	going = false;
	checkpointHolds()
}

inline pop() {
	/* everything of lower positions went before */
	if
	:: link ->
		i = 1;
		do
		:: i < low -> assert(hasOthers[i] == others[i]); i++
		:: else -> break
		od;
		i = 0;
		hasOwn = hasOwn | BIT(low)
	:: else
	fi;
	outbox = outbox & ~BIT(low);
	if
	:: !unclean && low - 1 > checkpoint -> checkpoint = low - 1; checkpointHolds()
	:: else
	fi;
#ifndef OWN_FORGOTTEN
	owns = owns | BIT(low);
#endif
	owing = true;
	if
	:: owed < OWED -> owed++
	:: else
	fi
}

inline bareCheckpoint() {
	owed = 0;
	if
	:: owing ->
		owing = false;
		if
#ifdef BARE_WHILE_DIRTY
		:: published > checkpoint ->
#else
		:: !unclean && outbox == 0 && published > checkpoint ->
#endif
			checkpoint = published; checkpointHolds()
		:: else
		fi;
		if
		:: checkpoint > told -> tell(checkpoint)
		:: else
		fi
	:: else
	fi
}

/* Next, again and again. */
active proctype Drain() {
end:
	do
	:: atomic { opening == opened && ready && items != 0 ->
		d_step { first() };
		if
		:: items & 1 -> d_step { give(0) }
		:: items & 2 -> d_step { give(1) }
		fi;
		low = 0 }
	:: d_step { opening == opened && ready && items == 0 && initial ->
		initial = false; live = true;
		cover();
		tell(upTo);
		from = 0; upTo = 0 }
	:: d_step { opening == opened && ready && items == 0 && going ->
#ifdef TOLD_UNCOVERED
		if
		:: sent && published > upTo -> upTo = published
		:: else
		fi;
#endif
		cover();
		if
		:: sent -> tell(upTo); owing = false; sent = false
		:: else
		fi;
		from = 0; upTo = 0 }
	:: atomic { opening == opened && ready && items == 0 && !initial && !going ->
		d_step { first() };
		if
		:: owed >= OWED && owns == 0 -> d_step { bareCheckpoint() }
		:: !(owed >= OWED && owns == 0) && mayLeave -> d_step { pop() }
		:: !(owed >= OWED && owns == 0) && worthIt -> d_step { plan() }
		:: !(owed >= OWED && owns == 0) && !mayLeave && !worthIt -> ready = false
		fi;
		low = 0 }
	od
}

/* ---- the partition ---- */

inline publish() { published = committed }

active proctype Partition() {
end:
	do
	:: atomic { phase == idle && committed < COMMITS ->
		/* evaluate, commit, apply: nobody sees anything in between */
		committed++;
		if
		:: others[committed] = 0
		:: others[committed] = 1
		:: others[committed] = 2
		:: others[committed] = 3
		fi;
		if
		:: opening == opened && link -> own = own | BIT(committed); mine = mine | BIT(committed); answering = true
		:: true
		fi;
		d_step {
			toWake = others[committed];
			if
			:: own & BIT(committed) -> toWake = toWake | 1
			:: else
			fi;
			if
			:: toWake & 1 -> head[0] = committed
			:: else
			fi;
			if
			:: toWake & 2 -> head[1] = committed
			:: else
			fi;
#ifdef PUBLISHED_BEFORE_WAKES
			publish();
#endif
			saved = acked; /* what waits goes with the batch */
			phase = applied
		} }
	:: d_step { phase == applied ->
#ifdef WAKES_BEFORE_ANSWERS
		skip;
#else
		if
		:: answering -> outbox = outbox | BIT(committed); ready = true; answering = false
		:: else
		fi;
#endif
		phase = waking }
	:: atomic { phase == waking && toWake != 0 -> /* the online lock is held for reading */
		if
		:: toWake & 1 -> d_step { wake(0, committed); toWake = toWake & ~1 }
		:: toWake & 2 -> d_step { wake(1, committed); toWake = toWake & ~2 }
		fi }
	:: d_step { phase == waking && toWake == 0 ->
#ifdef READY_BEFORE_PUBLISHED
		if
		:: readyFollows -> woken = false; readyFollows = false; ready = true
		:: else
		fi;
#else
		publish();
#endif
		phase = told_all }
	:: d_step { phase == told_all ->
#ifdef WAKES_BEFORE_ANSWERS
		if
		:: answering -> outbox = outbox | BIT(committed); ready = true; answering = false
		:: else
		fi;
#endif
#ifdef READY_BEFORE_PUBLISHED
		publish();
#else
		if
		:: readyFollows -> woken = false; readyFollows = false; ready = true
		:: else
		fi;
#endif
		phase = idle }
	/* acknowledgements that waited long enough are saved alone */
	:: d_step { phase == idle && saved < acked -> saved = acked }
	:: d_step { crashes < CRASHES -> crashes = CRASHES } /* never again */
	/* kill -9: what was committed is read again at the start */
	:: d_step { crashes < CRASHES ->
		crashes++;
		close();
		phase = idle; toWake = 0;
		publish();
		acked = saved }
	od
}

/* ---- the connection and the device ---- */

inline readPublished() {
	upTo = published; from = cursor;
#ifndef STALE_DIRTY
	dirty = 0; /* the comparison will find it */
#endif
	assert(cursor <= published) /* no cursor is from the future */
}

inline compare() {
	items = 0;
	if
	:: head[0] > cursor -> items = items | 1
	:: else
	fi;
	if
	:: head[1] > cursor -> items = items | 2
	:: else
	fi
}

/* The barrier: whoever has registered waits until no wakes are under way. */
#ifdef NO_BARRIER
#define quiet true
#else
#define quiet (phase != waking)
#endif

active proctype Device() {
end:
	do
	:: d_step { opening == closed -> link = true; unclean = true; ready = true; initial = true; opening = staged }
#if defined(REGISTERED_LAST)
	:: d_step { opening == staged -> readPublished(); opening = bounded }
	:: d_step { opening == bounded -> compare(); opening = listed }
	:: d_step { opening == listed && quiet -> subscribed = true; opening = opened }
#elif defined(PUBLISHED_READ_LAST)
	:: d_step { opening == staged -> subscribed = true; opening = listed }
	:: d_step { opening == listed && quiet -> compare(); opening = bounded }
	:: d_step { opening == bounded -> readPublished(); opening = opened }
#else
	:: d_step { opening == staged -> subscribed = true; opening = listed }
	:: d_step { opening == listed && quiet -> opening = registered }
	:: d_step { opening == registered -> readPublished(); opening = bounded }
	:: d_step { opening == bounded ->
		compare();
		if /* hello also acknowledges */
		:: acked < cursor -> acknowledge(cursor)
		:: else
		fi;
		opening = opened }
#endif
	/* the connection breaks; the session notices later, and what it gives until then is lost */
	:: d_step { opening == opened && link && cuts < CUTS -> cuts++; link = false }
	:: d_step { cuts < CUTS -> cuts = CUTS } /* never again */
	:: d_step { opening == opened && !link -> close() }
	/* ack */
#ifdef ACKED_WHEN_WRITTEN
	:: d_step { opening == opened && told > acked -> acknowledge(told) }
#else
	:: d_step { opening == opened && link && cursor > acked -> acknowledge(cursor) }
#endif
	/* ping: what is owed is told with the pong */
	:: d_step { opening == opened && link && live && owed > 0 && owed < OWED -> owed = OWED; ready = true }
	od
}

#define hasAll (hasOthers[1] == others[1] && hasOthers[COMMITS - 1] == others[COMMITS - 1] && \
	hasOthers[COMMITS] == others[COMMITS] && hasOwn == own)
#define clean (committed == COMMITS && published == COMMITS && live && dirty == 0 && outbox == 0 && items == 0 && !going && \
	hasAll && cursor >= head[0] && cursor >= head[1] && saved == cursor)

/* In the end nothing is dirty, nothing waits, the device has everything, its cursor says so, and that is saved. The end is
 * where nobody can do anything; that there is one, and no going round for ever, is what the formula adds. */
#ifndef ENDLESS
active proctype End() {
	timeout -> assert(clean)
}
#endif

ltl cleanInTheEnd { <>[] clean }
