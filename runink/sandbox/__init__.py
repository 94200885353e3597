"""The sandbox: where slices come from, and who ends them.  Three kinds of processes, each with one thread.

    agent ── SEQPACKET socket ── spawner ── SEQPACKET pair ── fork server ── fork ── slice, slice, ...
    client.py                    spawner.py                   fork_server.py         birth.py

The **spawner** is small (standard library only) and outlives the agent for a while; it answers for every slice.  The **fork server** has loaded
what slices need and makes them from itself.  Both speak the messages of `protocol.py`, written as `codec.py` says, in the packets of `packets.py`.
An agent's side of the socket is `link.py` below `client.py`; `starting.py` finds the spawner that runs already, or starts one.

A launch
    1  agent        puts the job into sealed memory, sends `launch` with it and the data pipes
    2  spawner      checks it, makes the control socket pair and the two log pipes, sends `fork` (at most FORKING_MAX under way; none before `ready`)
    3  fork server  forks; closes all that was handed over
    4  slice        places its descriptors, resets itself, says `started` with a pidfd (`birth.py`), closes the rest, calls the entry
    5  spawner      keeps its ends, answers `launched` with copies of them

Descriptors
    what           agent                     spawner                      fork server       slice
    job            until it is sent          until it is forked           until the fork    read, then closed
    data pipes     the caller's, to close    until it is forked           until the fork    4, 5, ... in the order given
    control        its end, by `launched`    the agent's end, a copy      until the fork    3, close-on-exec
    stdout stderr  reading ends              reading ends, copies         until the fork    1, 2
    pidfd          a copy                    one                          -                 -
    So a log or control descriptor never breaks because the agent is away: the slice waits when a pipe is full.

Deaths
    who dies                what happens
    agent                   its connection ends.  After --orphan-seconds without a new one the spawner kills all slices and ends; before that, a new
                            agent says `hello` and gets the slices with working descriptors from `list`
    spawner                 the fork server sees the end of its link, adopts what is left, kills every slice with all that it started, and ends.
                            The agent's client raises LinkLost.  (Slices that an earlier fork server had left to this spawner are out of its reach: the
                            agent ends those by their pidfd, `LaunchedSlice.kill`.)
    fork server             its slices become the spawner's children and go on; forks under way are refused (`fork_server_lost`), later launches wait
                            for the new one.  What exit a slice had whose end the dead one did not tell is unknown: cause `lost`
    slice                   the fork server reaps it and says `ended`; its descendants become the spawner's children, which kills them until none is
                            left; only then is `exited` told
    a descendant of a       while the slice lives, it becomes the slice's child, however often it forked and called setsid, because each slice is
    slice loses its parent  a subreaper; when the slice dies, see above
    agent and spawner       as spawner
    all three at once       slices go on until they notice the end of their control socket

No slice has a parent-death signal: it would fire when the fork server dies, which its slices are to survive.
"""
