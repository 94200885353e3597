"""Slots: pieces of shared memory that are used again and again, on both sides of an edge.

    writer   makes a slot when none is free, up to SLOTS_MAX; fills it; the slot that came back last is filled next (its pages are warm)
    reader   maps a slot when it is first named, for reading only; lends it to a batch; the credit goes back when the last Arrow reference drops

A consumer may keep every batch (a sort, a whole input, a side input).  So no more than LENT_MAX slots are lent at a time: what comes beyond
is copied into the reader's own memory and its slot goes back at once, so that the writer always has slots to go on with.

The memory is sealed: it can neither shrink (a reader would be killed by SIGBUS) nor grow, and once the writer has mapped it nobody else can map
it for writing.  The writer itself still can change bytes under its reader, out of spite or by a wild pointer.  A reader then sees other values, or
reads beyond a column with false offsets: what a pipe's copy would have ruled out.  That is why slots join slices of one herd only, who may
read the same data anyway; to others a pipe is given.  Checking each value would cost more than the copy, and would prove nothing about a moment later.

Memory.  Pages belong to the cgroup that touches them first, which is the writer's: an edge takes no more there than its pool
(`pool_bytes`), and only as much as its largest batches fill.  They are given back when both sides have let go, so pages that a reader still keeps are
accounted to a writer that has ended.  Copies that the reader makes are its own, as with a pipe.

A child that a step forks sees the slots of its parent, and they may be filled anew when the parent drops them.  It never gives a credit.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import itertools
import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from runink.errors import Overloaded, ProtocolViolation

SLOTS_MAX: Final = 4  # one is filled, one is on its way, and two are read
LENT_MAX: Final = 2
SLOT_BYTES_MAX: Final = 8 << 20  # batches of a source have up to this much (`plain.BATCH_BYTES`)
SLOT_BYTES_MIN: Final = 256 << 10
MEMORY_SHARE: Final = 4  # of a slice's memory a fourth part may lie in slots

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_MFD_NOEXEC_SEAL: Final = 8  # of Linux 6.3; before that a memfd may be run
_F_SEAL_FUTURE_WRITE: Final = 0x10
_NO_RESIZE: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_PROT_READ, _PROT_WRITE, _MAP_SHARED = 1, 2, 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_MAP_FAILED: Final = ctypes.c_void_p(-1).value


def slot_bytes(memory_bytes: int) -> int:
    """Return how large the slots of an edge are whose writer may use that much memory for itself and this edge; 0 is no limit."""
    share = memory_bytes // MEMORY_SHARE // SLOTS_MAX if memory_bytes else SLOT_BYTES_MAX
    return max(SLOT_BYTES_MIN, min(SLOT_BYTES_MAX, share // _PAGE_BYTES * _PAGE_BYTES))


def pool_bytes(memory_bytes: int) -> int:
    """Return how much memory the slots of such an edge take at most."""
    return slot_bytes(memory_bytes) * SLOTS_MAX


class Mapping:
    """Shared memory in this process, until the last reference drops. Python's `mmap` would keep a descriptor for each, and an edge has several."""

    def __init__(self, descriptor: int, size: int, *, writable: bool) -> None:
        protection = _PROT_READ | (_PROT_WRITE if writable else 0)
        address = _libc.mmap(None, size, protection, _MAP_SHARED, descriptor, 0)
        if address is None or address == _MAP_FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self.address: int = address
        self.size = size
        weakref.finalize(self, _libc.munmap, address, size).atexit = False


class WritableSlot:
    """A slot on the side that fills it."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._mapping = Mapping(descriptor, size, writable=True)
        memory = (ctypes.c_char * size).from_address(self._mapping.address)
        self._buffer = pa.py_buffer(memory)

    def fill(self, pieces: Sequence[Any]) -> None:
        """Write the pieces, one behind the other, from the beginning. Other threads run meanwhile."""
        with pa.FixedSizeBufferWriter(self._buffer) as output:
            for piece in pieces:
                output.write(piece)


def new_slot(size: int) -> tuple[WritableSlot, int]:
    """Make a slot; return it and the descriptor of its memory, which the caller closes. Raises Overloaded where there can be no more."""
    try:
        descriptor = _memfd()
    except OSError as error:
        raise _no_slot(error) from error
    try:
        os.ftruncate(descriptor, size)
        slot = WritableSlot(descriptor, size)
        seals = _NO_RESIZE | _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError as error:
        os.close(descriptor)
        raise _no_slot(error) from error
    return slot, descriptor


def _memfd() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("runink-slot", flags | _MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.memfd_create("runink-slot", flags)


def _no_slot(error: OSError) -> Overloaded:
    return Overloaded(
        f"shared memory for an edge cannot be made: {error.strerror}",
        code="no_slot",
        hint="raise the limit of open files (ulimit -n), or join steps in fewer slices",
    )


def mapped(descriptor: int) -> Mapping:
    """Map what a writer has sent, for reading. Raises ProtocolViolation if it is no slot, or one that could be taken away under a reader."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError as error:
        raise ProtocolViolation("the descriptor that came is none of shared memory") from error
    if seals & _NO_RESIZE != _NO_RESIZE:
        raise ProtocolViolation("the memory that came may change its size")
    size = os.fstat(descriptor).st_size
    if not 0 < size <= SLOT_BYTES_MAX:
        raise ProtocolViolation(f"a slot of {size:,} bytes, more than {SLOT_BYTES_MAX:,} or none")
    return Mapping(descriptor, size, writable=False)


class _Lease:
    """What a batch holds of a slot: as long as it lives the slot is not filled anew, and its memory stays."""

    __slots__ = ("__weakref__", "mapping")

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping


class Lending:
    """The reader's slots. `give` tells the writer that a place is free; it is called by whichever thread drops a batch, also in the middle of anything.

    Therefore nothing here takes a lock: each step is one operation on a set.
    """

    def __init__(self, give: Callable[[int], None], *, when_idle: Callable[[], None]) -> None:
        self._give = give
        self._when_idle = when_idle
        self._slots: dict[int, Mapping] = {}
        self._lent: set[int] = set()  # places
        self._leases: set[int] = set()  # numbers of leases whose end is not told yet
        self._numbers = itertools.count()
        self._process = os.getpid()
        self.copied = 0  # batches that could not be lent

    @property
    def is_idle(self) -> bool:
        """Whether no lease is left that would still give a credit."""
        return not self._leases

    def add(self, place: int, descriptor: int) -> None:
        if place >= SLOTS_MAX or place in self._slots:
            raise ProtocolViolation(
                f"memory came for place {place}, which there is already or never"
            )
        self._slots[place] = mapped(descriptor)

    def part(self, place: int, size: int) -> pa.Buffer:
        """Return the bytes in the slot, which keep it mapped and do not lend it. Raises ProtocolViolation."""
        mapping = self._slots.get(place)
        if mapping is None:
            raise ProtocolViolation(f"a frame lies at place {place}, for which no memory came")
        if place in self._lent:
            raise ProtocolViolation(f"a frame lies at place {place}, which is still read")
        if not 0 < size <= mapping.size:
            raise ProtocolViolation(f"a frame of {size:,} bytes in a slot of {mapping.size:,}")
        return pa.foreign_buffer(mapping.address, size, base=mapping)

    def whole(self, place: int, size: int) -> pa.Buffer:
        """Return a body that lies in one slot: lent, or copied if too many are lent already."""
        part = self.part(place, size)
        if len(self._lent) >= LENT_MAX:
            self.copied += 1
            buffer = pa.allocate_buffer(size)
            self.move(part, place, output=pa.FixedSizeBufferWriter(buffer))
            return buffer
        lease = _Lease(self._slots[place])
        number = next(self._numbers)
        self._leases.add(number)
        self._lent.add(place)
        weakref.finalize(lease, self._returned, place, number).atexit = False
        return pa.foreign_buffer(lease.mapping.address, size, base=lease)

    def move(self, part: pa.Buffer, place: int, *, output: pa.FixedSizeBufferWriter) -> None:
        """Copy a part to where a body is put together, and give its slot back."""
        output.write(part)
        self._give(place)

    def forget(self) -> None:
        """Let go of all slots that no batch holds."""
        self._slots.clear()

    def _returned(self, place: int, number: int) -> None:
        if os.getpid() != self._process:
            return
        self._lent.discard(place)
        self._give(place)
        self._leases.discard(number)
        if not self._leases:
            self._when_idle()
