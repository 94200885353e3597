"""The keeper: a small process of root's that starts the spawner of a node whose agent has given up root, and starts it again should it die.

    python -m runink.sandbox.keeper --socket PATH --log PATH --user UID:GID -- SPAWNER...      standard input is one end of a SEQPACKET pair; SPAWNER are the words that start one

    the agent says     the keeper                                                   and answers
    anything           starts the spawner, unless somebody listens there already    `started`, or why it could not
    (its end)          ends.  The spawner waits for the next agent as long as it does for any

What it starts is fixed before the agent gives up root; of what that says later nothing is looked at.  So who takes over the agent can have by it what was to be had before: one spawner, at
one place, for one user.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from runink.errors import RuninkError
from runink.sandbox.arguments import INTERPRETER_OPTIONS, kept_environment, options
from runink.sandbox.door import listen
from runink.sandbox.kernel import name_process
from runink.sandbox.log import describe
from runink.sandbox.rights import User, forget_groups
from runink.sandbox.spawning import (
    LOG_FLAGS,
    LOG_MODE,
    SpawnerPlace,
    is_taken,
    make_room,
    spawn,
    words_of,
)

STARTED: Final = b"started"
START: Final = b"start"
ANSWER_BYTES_MAX: Final = 1 << 12
ANSWER_S: Final = 10.0  # it takes milliseconds
REQUIRED: Final = ("socket", "log", "user")
BEHIND: Final = "--"  # it: the spawner's words


def start_keeper(place: SpawnerPlace) -> int:
    """Start a keeper for this place, and return the descriptor by which it is asked, the caller's. Root only. Raises OSError."""
    assert place.user is not None, "who is not another needs no keeper"
    make_room(place)
    words = [sys.executable, *INTERPRETER_OPTIONS, "-m", "runink.sandbox.keeper"]
    words += ["--socket", str(place.socket.absolute()), "--log", str(place.log.absolute())]
    words += ["--user", f"{place.user.uid}:{place.user.gid}", BEHIND, *words_of(place)]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        os.posix_spawn(
            sys.executable,
            words,
            kept_environment(os.environ),
            # Everything else that we hold is close-on-exec.
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                (os.POSIX_SPAWN_OPEN, 1, str(place.log), LOG_FLAGS, LOG_MODE),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,  # no terminal's signals
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD),
        )
        return ours.detach()


def ask(keeper: int) -> None:
    """Have a spawner started. Raises OSError with why it could not."""
    with socket.socket(fileno=os.dup(keeper)) as link:
        link.settimeout(ANSWER_S)
        link.send(START)
        answer = link.recv(ANSWER_BYTES_MAX)
    if answer != STARTED:
        text = answer.decode(errors="replace") or "the process that starts it has ended"
        raise OSError(errno.EIO, text)


def serve(link: socket.socket, place: SpawnerPlace, words: list[str]) -> None:
    """Start spawners as long as somebody asks."""
    while link.recv(ANSWER_BYTES_MAX):
        try:
            _start(place, words)
            answer = STARTED
        except (OSError, RuninkError) as error:
            answer = describe(error).encode()
        link.send(answer)


def _start(place: SpawnerPlace, words: list[str]) -> None:
    if is_taken(place.socket):
        return
    make_room(place)
    with listen(str(place.socket), place.user) as listening:
        spawn(place, listening.fileno(), words)


def main() -> None:
    """Serve the agent whose end of the pair is the other one of standard input."""
    at = sys.argv.index(BEHIND)
    found = options(sys.argv[1:at], required=REQUIRED, optional={})
    name_process("runi-keeper")
    os.chdir("/")
    forget_groups()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a spawner ended
    place = SpawnerPlace(
        socket=Path(found["socket"]),
        log=Path(found["log"]),
        entry="",  # among the words
        user=User.parse(found["user"]),
    )
    serve(socket.socket(fileno=sys.stdin.fileno()), place, sys.argv[at + 1 :])


if __name__ == "__main__":
    main()
