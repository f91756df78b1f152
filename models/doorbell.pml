/* The doorbell: an agent that sleeps until a writer rings.
 *
 * Two writers, each with its own slots, and one agent, on x86-TSO: a store
 * sits in its processor's buffer and reaches memory at any later time, in
 * order; a load reads memory meanwhile; a fence waits for one's own buffer.
 *
 * Variants, by -D:
 *   WRITER_FENCE  a writer fences between its slot and the flag (Rust does,
 *                 Python cannot)
 *   WRITER_CLEARS a writer that rings takes the flag back (in one process; in
 *                 two, the flag's memory is read-only for it)
 *   NAP           the agent looks again after a nap, before it sleeps
 * and mistakes that must be found:
 *   NO_AGENT_FENCE  no fence between the agent's flag and its first look
 *   EDGE            a wake-up that nobody waits for yet is forgotten, as with
 *                   a futex whose word the writer cannot change
 */

#define WRITERS 2
#define STORES  2              /* per writer */

byte issued[WRITERS];          /* stores that the writer has executed */
byte slot[WRITERS];            /* of these, how many memory holds */
byte seen[WRITERS];            /* of these, how many the agent took */

bit sleeping;                  /* the flag, in memory */
chan flag_buffer = [4] of { bit };  /* the agent's stores to it under way */

bit wake;                      /* eventfd counter above zero, or park token */
bit waiting;                   /* the agent is inside poll */

/* A processor's buffer: any store may reach memory at any time, in order. */
active proctype Buffers()
{
end:
    do
    :: slot[0] < issued[0] -> slot[0]++
    :: slot[1] < issued[1] -> slot[1]++
    :: flag_buffer ? sleeping
    od
}

inline ring_bell()
{
#ifdef EDGE
    atomic { if :: waiting -> wake = 1 :: else fi }
#else
    wake = 1
#endif
}

active [WRITERS] proctype Writer()
{
    byte me = _pid - 1;        /* Buffers is process 0 */
    byte stores = 0;
    bit flag;

    do
    :: stores < STORES ->
        stores++;
        issued[me]++;
#ifdef WRITER_FENCE
        slot[me] == issued[me];
#endif
        flag = sleeping;
        if
        :: flag ->
#ifdef WRITER_CLEARS
            /* An exchange is a fence too. */
            atomic { slot[me] == issued[me] -> flag = sleeping; sleeping = 0 }
            if :: flag -> ring_bell() :: else fi
#else
            ring_bell()
#endif
        :: else
        fi
    :: else -> break
    od
}

inline look()
{
    found = 0;
    if :: slot[0] != seen[0] -> seen[0] = slot[0]; found = 1 :: else fi;
    if :: slot[1] != seen[1] -> seen[1] = slot[1]; found = 1 :: else fi
}

active proctype Agent()
{
    bit found;
    byte before0, before1;

    do
    ::  flag_buffer ! 1;
#ifndef NO_AGENT_FENCE
        empty(flag_buffer);
#endif
        look();
#ifdef NAP
        if
        :: !found ->
            /* A store buffer drains in far less than a millisecond: whatever
             * was stored before the nap is in memory after it. Later stores
             * may still be under way. */
            atomic { before0 = issued[0]; before1 = issued[1] }
            (slot[0] >= before0 && slot[1] >= before1);
            look()
        :: else
        fi;
#endif
        if
        :: !found ->
            waiting = 1;
end_asleep: atomic { wake -> waiting = 0 }
        :: else
        fi;
        flag_buffer ! 0;
        wake = 0;              /* read the eventfd, before the next look */
        look()
    od
}

/* When nothing else can move, the agent sleeps for good. */
active proctype Monitor()
{
end:
    timeout -> assert(slot[0] == seen[0] && slot[1] == seen[1])
}
