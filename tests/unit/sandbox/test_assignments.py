"""How a cell receives its slice: into memory that was there before, and at numbers that are known before."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from runink.sandbox.codec import MESSAGE_BYTES_MAX, decode, encode, numeric
from runink.sandbox.inbox import FIRST, arrived, empty
from runink.sandbox.inner_protocol import FROM_FORK_SERVER, INNER_FIELDS, Ended

WHOLE = st.integers(0, 1 << 31)
PIDS = st.integers(1, 1 << 22)
SECONDS = st.floats(0, 1e6)
HIGH = 200


def in_cell(send: Callable[[socket.socket], None], times: int = 1) -> str:
    """Return what arrives in a process that has a socket far up, and nothing from FIRST on."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    source, target = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.dup2(theirs.fileno(), HIGH)
            os.dup2(target, HIGH + 1)
            os.closerange(FIRST - 1, HIGH)
            os.open("/", os.O_RDONLY)
            found = []
            for _ in range(times):
                empty()
                found.append(arrived(HIGH))
            is_kept = [os.get_inheritable(number) for number in range(FIRST, FIRST + 2)]
            os.write(HIGH + 1, repr((found, is_kept)).encode())
        except BaseException as error:  # noqa: BLE001 - the last frame of a process, which tells the test
            os.write(HIGH + 1, repr(error).encode())
        finally:
            os._exit(0)
    theirs.close()
    os.close(target)
    with ours:
        send(ours)
    with os.fdopen(source, "rb") as answer:
        said = answer.read().decode()
    os.waitpid(pid, 0)
    return said


def test_descriptors_arrive_close_on_exec_and_from_the_first_free_number_on():
    said = in_cell(lambda ours: socket.send_fds(ours, [b""], [0, 1]) and None)
    assert said == repr(([(b"", 2, True)], [False, False]))


def test_a_body_arrives_with_them():
    body = b'{"kind":"assign"}'
    said = in_cell(lambda ours: socket.send_fds(ours, [body], [0, 1]) and None)
    assert said == repr(([(body, 2, True)], [False, False]))


def test_a_body_that_is_larger_than_any_message_is_told_from_a_whole_one():
    def send(ours: socket.socket) -> None:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        socket.send_fds(ours, [bytes(MESSAGE_BYTES_MAX + 2)], [0, 1])

    assert in_cell(send).endswith("', 2, False)], [False, False])")


def test_the_end_of_the_socket_is_nothing():
    def send(ours: socket.socket) -> None:
        socket.send_fds(ours, [b"x"], [0, 1])

    assert in_cell(send, times=2) == repr(([(b"x", 2, True), None], [False, False]))


@given(st.builds(Ended, PIDS, WHOLE, SECONDS, SECONDS, WHOLE, WHOLE, WHOLE))
def test_a_message_of_numbers_is_written_by_its_template_as_by_the_codec(ended: Ended):
    written = (numeric("ended", Ended._fields) % ended).encode()
    assert decode(written, FROM_FORK_SERVER, INNER_FIELDS, came=0).message == ended
    assert written == encode("ended", ended)
