"""The sandbox: where slices come from, what closes them off, and who ends them.  Every process here has one thread.

    agent ── SEQPACKET socket ── spawner ── SEQPACKET pair ── fork server, one a network ── clone ── cell, cell, ...
    client.py                    spawner.py                   fork_server.py                         cell.py
                                    └────────────── SEQPACKET pair, one a cell ────────────────────────┘

The **spawner** is small (standard library only), outlives the agent for a while and answers for every slice.  It is the first process of a pid and a
mount namespace of its own (`seclusion.py`).  It alone owns cgroups (`confines.py`, `cgroup_spares.py`), id ranges (`ids.py`), mounts (`skeleton.py`, `walls.py`) and
herds' networks (`herd_networks.py`), and never runs foreign code.  A **fork server**, or zygote, has loaded what slices need, lives in a root like theirs without
privileges, and clones cells from itself.  A **cell** is two processes in namespaces of their own, of which two served others of the herd before (`homes.py`): the first (`init.py`) reaps, forwards signals
and takes everything with it; the worker becomes the slice (`birth.py`).  How a cell is closed, step by step: `isolation.py`.  Cells may wait for slices (`pool.py`, `warm_cells.py`; the agent's side is `places.py`).

Where the machine has no such namespaces, or `--plain yes` was asked for, there are no walls: the spawner stays in the machine's namespaces, a cell is the worker alone.

A spawner may be told to have **bubblewrap** close its slices off (`bubblewrap.py`).  Then there is no fork server: the spawner clones itself for each launch, the clone becomes bubblewrap (`bubblewrap_launcher.py`), and
what that starts becomes the cell (`bubblewrap_inside.py`).  All else is as it is for cells; how much of it works is tried when the spawner starts (`bubblewrap_trial.py`).

The messages are those of `protocol.py` and `inner_protocol.py`, written as `codec.py` says, in the packets of `packets.py`.  An agent's side of the socket is `link.py`
below `client.py`; `starting.py` finds the spawner that runs already, or starts one (`spawning.py`).

A spawner of root's may serve an agent of another user, and then does for it what that user could do itself (`rights.py`, `door.py`).  It runs as a service (`stays`), whose first process waits for it (`seclusion.py`);
or a small process of root's, the **keeper** (`keeper.py`), starts it for an agent that has given up root.

A launch
    1  agent          puts the job into sealed memory, sends `launch` with it, the data pipes, and a descriptor of each place that is to be shown
    2  spawner        checks it, makes the control socket pair and the two log pipes; the launch waits for its network and the fork server there
    3  spawner        makes cgroups with all limits and detached mounts, of a path only if that still leads to what the agent's descriptor does, and sends `fork` (at most
                      FORKING_MAX under way)
    4  fork server    writes down what the cell does (`courses.py`), unless it has for this place; clones its first process, says `forked` with its pidfd, closes all that was handed over
    5  first process  joins its cgroups, waits for `go`
    6  spawner        writes the id maps and reads them back, says `go` with the slice's ends of its channels
    7  first process  builds its root and moves in; gives up everything; forks the worker, which says `sealed` with what is in force
    8  spawner        sends `assign` with job and data pipes
    9  worker         places its descriptors, says `started`, closes the rest, calls the entry
   10  spawner        answers `launched` with copies of the agent's ends and with what is in force

A launch in a cell that waits
    1  spawner        has made a cell for a place that the agent launched at lately, as above up to 7, with a **seat**: one end of a socket pair for the cell, the other for the agent
    2  spawner        offers it to the agent: `waiting` with copies of the seat and of the agent's ends of the channels, and with what is in force
    3  agent          has the cell held to other limits, if need be (`hold`); puts the assignment on the seat, with job and data pipes; says `take` to the spawner
    4  worker         finds its assignment, and goes on as in 9
    5  spawner        has heard both, in whichever order: answers `begun`
    So the slice's way leads past the spawner, which has everything in its books nevertheless.  What an agent begins without telling it is ended soon (`warm_cells.py`).

Descriptors
    what            agent                     spawner                      fork server       cell
    job             until it is sent          until it is assigned         -                 worker: read, then closed
    data pipes      the caller's, to close    until they are assigned      -                 worker: 4, 5, ... in the order given
    control         its end, by `launched`    the agent's end, a copy      -                 worker: 3, close-on-exec
                    or `waiting`
    stdout stderr   reading ends, likewise    reading ends, copies         -                 worker: 1, 2
    seat            its end, by `waiting`     the agent's end, a copy, to  -                 worker, until it has its slice
                                              shut it
    shown places    the caller's, to close    until there is a cell; the   -                 -
                                              pool's as long as it expects
    mounts          -                         until they are sent          until the clone   until they are attached
    cgroup files    -                         until they are sent          until the clone   until they are joined
    cell's socket   -                         one end                      until the clone   first process; worker, until it has started
    pidfd           a copy                    one, and the agent's, a copy until it is told  -
    So a log or control descriptor never breaks because the agent is away: the slice waits when a pipe is full.

Deaths
    who dies                what happens
    agent                   its connection ends, and with it what was offered: cells that wait are ended.  After --orphan-seconds without a new one the spawner kills all slices
                            and ends (a service stays); before that, a new agent says `hello` and gets the slices with working descriptors from `list`
    spawner                 the kernel ends all that is in its namespace: fork servers, cells, slices.  The agent's client raises LinkLost.
                            Plain: each fork server sees the end of its link, adopts what is left, kills every slice with all that it started, and ends.  (Plain slices that an
                            earlier fork server had left are out of its reach: the agent ends those by their pidfd, `LaunchedSlice.kill`.)
    bubblewrap's own        the first process gets SIGKILL by the kernel, and so all of the slice ends; the end is told as bubblewrap's
    process
    fork server             its cells become the spawner's children and slices go on; those of other networks have nothing to do with it.  Launches under way are
                            refused (`fork_server_lost`), waiting cells are ended, later launches wait for the new one.  An end that neither it nor the cell had told is cause `lost`
    worker                  the first process says how it ended, and ends; before that is seen, the kernel has ended all that the slice had left.  Then `exited` is told
    first process           the kernel ends the whole cell.  The end is told as the first process's own, unless the worker's was told before
    plain slice             it is reaped, by the fork server or the spawner; its descendants become the spawner's children, which kills them until none is left; only
                            then is `exited` told
    a descendant of a       it becomes the first process's child and is reaped.  Plain: it becomes the slice's child, however often it forked and
    slice loses its parent  called setsid, because each plain slice is a subreaper
    nobody, but a slice     SIGTERM to its worker, GRACE_S later SIGKILL to its first process, by the spawner's own clock.  Its cause is `timeout`, however it ended by then.
    is out of its time      A slice that the agent stops goes the same way, by the agent's clock
    agent and spawner       as spawner
    all at once             as spawner.  Plain: slices go on until they notice the end of their control socket

Nothing dies with the fork server by a parent-death signal: its cells are to survive it.  A worker has one, for the end of its first process.
"""
