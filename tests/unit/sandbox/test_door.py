"""Who is let in by the spawner's door when it has no descriptor left."""

from __future__ import annotations

import os
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runink.sandbox.door import Door, listen


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_who_cannot_be_taken_is_turned_away_and_the_next_one_let_in(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    door = Door(listen(path), path)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as unlucky,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as lucky,
    ):
        unlucky.connect(path)
        with no_descriptor_left():
            door.admit(now_s=0.0)
        assert unlucky.recv(1) == b""
        assert not select.select([door.listening], [], [], 0)[0], "nothing is left to look at"
        lucky.connect(path)
        door.admit(now_s=0.0)
        assert len(list(door)) == 1
    door.close()
