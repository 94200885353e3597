"""A herd's network as the spawner has it: asked of a short-lived process, held by a descriptor, and where processes are started that belong to it.

The spawner starts the process (`begin`), waits for its socket with everything else that it waits for, and takes the answer (`answer`).  It says itself how long it waits,
and ends the process by `Asked.abandon`; one that is killed in the middle leaves nothing that lets a packet through.

Whoever holds the namespace's descriptor keeps the network alive: when the spawner ends, the network ends with its last slice.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from runink.sandbox.arguments import INTERPRETER_OPTIONS, kept_environment
from runink.sandbox.packets import close_all, receive
from runink.sandbox.syscalls import CLONE_NEWNET, call

HELPER = ("-m", "runink.sandbox.network_helper")
OURS = "/proc/thread-self/ns/net"
MAKE_S = 30.0  # a second when all is well; the lock, nft, a kernel's module may take longer


class Asked(NamedTuple):
    """A request under way. `link` becomes readable with the answer, or at the end of the process `pid`, our child to reap."""

    pid: int
    link: socket.socket

    def abandon(self) -> None:
        """End the process without an answer. Only before it is reaped."""
        self.link.close()
        os.kill(self.pid, signal.SIGKILL)


class Answer(NamedTuple):
    """What `network_helper.py` says of the action; with `code`, `text`, `hint`, `step` it was refused. `namespace` is -1 or the caller's to close."""

    fields: dict[str, Any]
    namespace: int

    @property
    def code(self) -> str:
        """Return why it was refused, or nothing."""
        return str(self.fields.get("code", ""))


def begin(
    action: str, fields: dict[str, Any], *, held: int = -1, module: Sequence[str] = HELPER
) -> Asked:
    """Start the process that does what is asked; `held` is the descriptor that an earlier `make` gave. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            body = json.dumps({"action": action} | fields).encode()
            socket.send_fds(ours, [body], [held] if held >= 0 else [])
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *INTERPRETER_OPTIONS, *module],
                kept_environment(os.environ),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, 2, 1),
                ],
                setsigmask=(),
                setsigdef=(signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD),
            )
        except BaseException:
            ours.close()
            raise
    return Asked(pid, ours)


def answer(asked: Asked) -> Answer:
    """Return what came; closes the link. Raises BlockingIOError on a link that does not block and has nothing yet."""
    packet = receive(asked.link)
    asked.link.close()
    if packet is None:
        text = "the process that makes networks ended without a word"
        return Answer({"code": "network_unavailable", "text": text, "hint": "", "step": ""}, -1)
    fields = json.loads(packet.body)
    close_all(packet.descriptors[1:])
    return Answer(fields, packet.descriptors[0] if packet.descriptors else -1)


@contextmanager
def within(namespace: int) -> Iterator[None]:
    """Be in another network namespace for a while: what begins there, a process or a socket, belongs to it. For a process of one thread.

    A slice cannot enter by itself: that needs CAP_SYS_ADMIN in the user namespace that owns the network namespace, which is the machine's.  It is cloned, without CLONE_NEWNET, from a
    process that was started within; then its own user namespace gives it no power over the network.  Raises OSError.
    """
    home = os.open(OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        call("setns", namespace, CLONE_NEWNET)
        try:
            yield
        finally:
            call("setns", home, CLONE_NEWNET)
    finally:
        os.close(home)
