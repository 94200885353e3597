"""Calls of the C library that are made ready beforehand: what is called, with what, and what it has to answer.

A cell is a copy of its fork server, and the kernel copies each page that one of the two writes to.  Python writes to an object whenever it holds it, and so a function
that decides, names, opens and checks has hundreds of pages copied: 2 to 3 µs each, more than all that it asks of the kernel.  Who has the time before the fork writes a list of calls
instead.  Then one loop goes through it (`perform`), over objects that were made together and lie together (`packing.py`).

Rules
- Everything is known when the list is made, also which number a new descriptor will have: the kernel gives the lowest that is free, and the call says that it has to.
- A call that does not answer what it has to ends the list with OSError.  So does one that reads back what another has done: it is compared with what it has to be (`same`).
- Memory that is passed belongs to the list: `bytes` for what the kernel reads, buffers for what it writes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, NoReturn

from runink.sandbox.syscalls import NUMBERS

ANY: Final = None  # answer: whatever is not an error
NOT_DONE: Final = "the kernel has not done it"
_ANSWER_MAX: Final = (1 << 63) - 1
_CMSGHDR: Final = struct.Struct("@Nii")  # struct cmsghdr of sys/socket.h
_INT_MIN, _UNSIGNED_MAX = -(1 << 31), (1 << 32) - 1

# Holds the interpreter's lock: there is nobody to give it to, and to give it up touches more than the call.
_libc: Final = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.strstr.restype = ctypes.c_ssize_t  # 0 or an address

_errno: Final = ctypes.get_errno  # looked up beforehand

Buffer = ctypes.Array[ctypes.c_char]
Argument = int | bytes | Buffer | ctypes.Structure | ctypes.c_void_p | None


class _Vector(ctypes.Structure):
    """`struct iovec` of sys/uio.h."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """`struct msghdr` of sys/socket.h."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_bytes", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vectors_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_bytes", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class StepFailed(OSError):
    """A call that belongs to a numbered step has failed."""

    def __init__(self, code: int, text: str, step: int) -> None:
        super().__init__(code, text)
        self.step = step


class Call(NamedTuple):
    """A call and the bounds of its answer. `says` is what it does, for who reads that it failed; errors that are `forgiven` are none. `step` is the one that it belongs to, 0 for none."""

    says: str
    function: Callable[..., int]
    arguments: tuple[object, ...]
    least: int
    most: int
    forgiven: tuple[int, ...]
    step: int = 0


class Ready(NamedTuple):
    """Calls as they are made, and as they are told of: what is not touched by the loop lies elsewhere."""

    bare: tuple[tuple[Callable[..., int], tuple[object, ...], int, int, tuple[int, ...]], ...]
    calls: tuple[Call, ...]


def ready(calls: Iterable[Call]) -> Ready:
    """Return these calls made ready for a process that is to touch little."""
    every = tuple(calls)
    return Ready(tuple(call[1:6] for call in every), every)


def run(prepared: Ready) -> None:
    """Make these calls, one after the other. Raises OSError for the first that does not answer what it has to, StepFailed where it belongs to a step."""
    bare, calls = prepared
    at = 0
    for function, arguments, least, most, forgiven in bare:
        answer = function(*arguments)
        # What compares has no errors, and so none that are forgiven.
        if not (least <= answer <= most or _errno() in forgiven):
            _fail(calls[at], answer)
        at += 1  # noqa: SIM113 - enumerate would make a tuple of each


def perform(calls: Iterable[Call]) -> None:
    """Do what `run` does, where nobody minds what is touched."""
    run(ready(calls))


def _fail(call: Call, answer: int) -> NoReturn:
    """Raise OSError for what the call should not have answered."""
    code = _errno() if answer == -1 and call.function is not _libc.memcmp else 0
    text = f"{call.says}: {os.strerror(code) if code else NOT_DONE}"
    if call.step:
        raise StepFailed(code or errno.EPERM, text, call.step)
    raise OSError(code or errno.EPERM, text)


def asked(
    says: str,
    name: str,
    *arguments: Argument,
    wanted: int | None = 0,
    forgiven: tuple[int, ...] = (),
) -> Call:
    """Return a system call (`syscalls.NUMBERS`). Raises OSError where its number is not known."""
    number = NUMBERS.get(name)
    if number is None:
        raise OSError(errno.ENOSYS, f"{name}: its number is not known on {os.uname().machine}")
    return _made(says, _libc.syscall, (number, *arguments), wanted, forgiven)


def called(
    says: str,
    name: str,
    *arguments: Argument,
    wanted: int | None = 0,
    forgiven: tuple[int, ...] = (),
) -> Call:
    """Return a call of a function of the library."""
    return _made(says, getattr(_libc, name), arguments, wanted, forgiven)


def prctl(says: str, option: int, *arguments: Argument, wanted: int | None = 0) -> Call:
    """Return a prctl, with zeros for what is not given: some options insist on them."""
    return asked(says, "prctl", option, *arguments, *(0,) * (4 - len(arguments)), wanted=wanted)


def same(says: str, found: Buffer, content: bytes) -> Call:
    """Return the comparison of what a call before has put into a buffer."""
    assert len(content) <= len(found)
    return _made(says, _libc.memcmp, (found, content, len(content)), 0, ())


def contains(says: str, found: Buffer, text: bytes) -> Call:
    """Return the look for a text in what a call before has put into a buffer, behind which there are zeros."""
    call = _made(says, _libc.strstr, (found, text), ANY, ())
    return call._replace(least=1)


def receiving(says: str, link: int, body: bytes, came: Sequence[int]) -> list[Call]:
    """Return the calls that wait for a packet with exactly this body, and with descriptors that get exactly these numbers, close-on-exec."""
    rights = struct.pack(f"@{len(came)}i", *came)
    control_bytes = socket.CMSG_LEN(len(rights))
    text = ctypes.create_string_buffer(len(body) + 1)  # so that a longer one is noticed
    control = ctypes.create_string_buffer(socket.CMSG_SPACE(len(rights) + 4))  # likewise
    vector = _Vector(ctypes.addressof(text), len(text))
    header = _Header(
        vectors=ctypes.pointer(vector),
        vectors_count=1,
        control=ctypes.addressof(control),
        control_bytes=len(control),
    )
    expected = _CMSGHDR.pack(control_bytes, socket.SOL_SOCKET, socket.SCM_RIGHTS) + rights
    flags = int(socket.MSG_CMSG_CLOEXEC)
    return [
        called(says, "recvmsg", link, header, flags, wanted=len(body)),
        same(says, text, body),
        same(says, control, expected),
    ]


def closing(says: str, kept: Iterable[int]) -> list[Call]:
    """Return the calls that close every descriptor but these."""
    first, calls = 0, []
    for descriptor in (*sorted(set(kept)), _UNSIGNED_MAX + 1):
        if first < descriptor:
            calls.append(asked(says, "close_range", first, descriptor - 1, 0))
        first = max(first, descriptor + 1)
    return calls


def lowest_free(taken: Iterable[int] = (), *, count: int = 1) -> Sequence[int]:
    """Return the numbers that the kernel gives to the next descriptors of a process that has these."""
    free: list[int] = []
    number = 0
    held = set(taken)
    while len(free) < count:  # ends: `held` does
        if number not in held:
            free.append(number)
        number += 1
    return free


def next_free() -> int:
    """Return the number that this process's next descriptor gets. Raises OSError."""
    descriptor = os.open("/", os.O_PATH | os.O_CLOEXEC)
    os.close(descriptor)
    return descriptor


def _made(
    says: str,
    function: Callable[..., int],
    arguments: tuple[Argument, ...],
    wanted: int | None,
    forgiven: tuple[int, ...],
) -> Call:
    least, most = (0, _ANSWER_MAX) if wanted is None else (wanted, wanted)
    return Call(says, function, tuple(map(_passed, arguments)), least, most, forgiven)


def _passed(argument: Argument) -> object:
    match argument:
        case int():
            # ctypes passes what C calls an int; each argument here is one, or an address.
            assert _INT_MIN <= argument <= _UNSIGNED_MAX
            return argument & _UNSIGNED_MAX  # of a negative one ctypes first makes an error
        case bytes() | None | ctypes.c_void_p():
            return argument
        case _:
            return ctypes.byref(argument)
