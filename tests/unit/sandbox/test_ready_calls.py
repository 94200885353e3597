"""Calls that are made ready beforehand: each answers what it has to, or ends the list."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.sandbox.calls import (
    ANY,
    StepFailed,
    asked,
    called,
    closing,
    contains,
    lowest_free,
    next_free,
    perform,
    ready,
    receiving,
    run,
    same,
)
from runink.sandbox.syscalls import AT_FDCWD

BODY = b'{"kind":"go"}'


def in_copy(work: Callable[[], object]) -> str:
    """Do this in a process of its own, and return how it failed, or nothing."""
    source, target = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            work()
        except OSError as error:
            os.write(target, str(error.strerror).encode())
        finally:
            os._exit(0)
    os.close(target)
    said = os.read(source, 4096).decode()
    os.close(source)
    os.waitpid(pid, 0)
    return said


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def test_calls_are_made_in_their_order(tmp_path):
    folder, inner = os.fsencode(tmp_path / "a"), os.fsencode(tmp_path / "a" / "b")
    perform([called("a", "mkdir", folder, 0o755), called("b", "mkdir", inner, 0o755)])
    assert (tmp_path / "a" / "b").is_dir()


def test_the_first_that_fails_ends_them_and_is_named(tmp_path):
    missing, after = os.fsencode(tmp_path / "a" / "b"), os.fsencode(tmp_path / "c")
    calls = [called("make b", "mkdir", missing, 0o755), called("make c", "mkdir", after, 0o755)]
    with pytest.raises(FileNotFoundError) as failed:
        perform(calls)
    assert failed.value.strerror == "make b: No such file or directory"
    assert not (tmp_path / "c").exists()


def test_an_error_that_is_forgiven_ends_nothing(tmp_path):
    folder, after = os.fsencode(tmp_path), os.fsencode(tmp_path / "c")
    there = called("there", "mkdir", folder, 0o755, forgiven=(errno.EEXIST,))
    perform([there, called("make c", "mkdir", after, 0o755)])
    assert (tmp_path / "c").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        perform([there._replace(arguments=(os.fsencode(tmp_path / "file" / "d"), 0o755))])


def test_another_answer_than_the_wanted_one_is_no_success():
    with pytest.raises(PermissionError) as failed:
        perform([called("ask", "getpid", wanted=os.getpid() + 1)])
    assert failed.value.strerror == "ask: the kernel has not done it"
    perform([called("ask", "getpid", wanted=os.getpid()), called("ask", "getpid", wanted=ANY)])


def test_a_call_of_a_step_fails_with_its_number():
    call = called("leave", "chdir", b"/missing")
    with pytest.raises(StepFailed) as failed:
        run(ready([call._replace(step=9)]))
    assert (failed.value.step, failed.value.errno) == (9, errno.ENOENT)


def test_what_is_read_back_has_to_be_what_is_wanted():
    found = ctypes.create_string_buffer(b"abc\0def", 8)
    perform([same("look", found, b"abc\0d"), contains("look", found, b"bc")])
    for wrong in (same("look", found, b"abd"), contains("look", found, b"def")):
        with pytest.raises(OSError, match="look: the kernel has not done it"):
            perform([wrong])


def test_a_negative_number_arrives_as_it_is(tmp_path):
    path = os.fsencode(tmp_path / "a")
    perform([called("make", "mkdirat", AT_FDCWD, path, 0o755)])
    assert (tmp_path / "a").is_dir()


def test_a_number_that_c_would_cut_is_a_mistake_of_ours():
    with pytest.raises(AssertionError):
        called("set", "umask", 1 << 32)


def test_a_call_that_this_machine_has_no_number_for_says_so():
    with pytest.raises(OSError, match="no_such_call: its number is not known"):
        asked("do", "no_such_call")


def test_all_descriptors_but_the_kept_ones_are_closed():
    def work() -> None:
        for place in (40, 41, 60):
            os.dup2(2, place)
        perform(closing("close", (0, 1, 2, 41, *kept)))
        left = [number for number in range(100) if os.path.exists(f"/proc/self/fd/{number}")]  # noqa: PTH110 - a number is looked for
        raise OSError(0, str(left))

    source, target = os.pipe()  # the pipes of in_copy come next
    os.close(source)
    os.close(target)
    kept = (target,)
    assert in_copy(work) == str(sorted({0, 1, 2, 41, target}))


@given(st.sets(st.integers(0, 40)), st.integers(0, 12))
def test_free_numbers_are_the_lowest_that_nobody_has(taken: set[int], count: int):
    free = lowest_free(taken, count=count)
    assert len(free) == count
    assert not taken & set(free)
    assert free == sorted(set(range(max(free, default=-1) + 1)) - taken)


def test_the_next_descriptor_is_the_one_that_the_kernel_gives():
    expected = next_free()
    source, target = os.pipe()
    assert source == expected
    os.close(source)
    os.close(target)


def given_numbers(count: int) -> list[int]:
    """Return what the kernel numbers the next descriptors of this process."""
    made = [os.dup(0) for _ in range(count)]
    for one in made:
        os.close(one)
    return made


def test_a_packet_is_received_with_descriptors_of_exactly_these_numbers(pair):
    ours, theirs = pair
    socket.send_fds(ours, [BODY], [0, 1])
    numbers = given_numbers(2)
    perform(receiving("take", theirs.fileno(), BODY, numbers))
    assert all(not os.get_inheritable(one) for one in numbers)
    for one in numbers:
        os.close(one)


@pytest.mark.parametrize(
    ("body", "descriptors"),
    [
        (BODY + b" ", [0, 1]),
        (BODY[:-1], [0, 1]),
        (BODY.replace(b"go", b"no"), [0, 1]),
        (BODY, [0]),
        (BODY, [0, 1, 2]),
        (BODY, []),
    ],
    ids=["longer", "shorter", "another", "one less", "one more", "none"],
)
def test_any_other_packet_is_refused(pair, body, descriptors):
    ours, theirs = pair

    def work() -> None:
        perform(receiving("take", theirs.fileno(), BODY, given_numbers(2)))

    socket.send_fds(ours, [body], descriptors)
    assert in_copy(work) == "take: the kernel has not done it"


def test_the_end_of_the_socket_is_no_packet(pair):
    ours, theirs = pair
    ours.close()
    with pytest.raises(OSError, match="take: the kernel has not done it"):
        perform(receiving("take", theirs.fileno(), BODY, given_numbers(1)))
