"""Where a cell's assignment is received: buffers that are there before the fork, and one call (`calls.py`)."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from typing import Final

from runink.sandbox.codec import DESCRIPTORS_MAX, MESSAGE_BYTES_MAX
from runink.sandbox.packets import CLOSED_ON_EXEC, CUT

FIRST: Final = (
    4  # the number of the first descriptor that comes; those below are a slice's channels
)
_MSGHDR: Final = struct.Struct("@PIPNPNi4x")  # struct msghdr of sys/socket.h
_IOVEC: Final = struct.Struct("@PN")  # struct iovec of sys/uio.h
_CMSGHDR: Final = struct.Struct("@Nii")  # struct cmsghdr
_CMSGHDR_BYTES: Final = _CMSGHDR.size
_body: Final = ctypes.create_string_buffer(MESSAGE_BYTES_MAX + 1)
_control: Final = ctypes.create_string_buffer(socket.CMSG_SPACE(DESCRIPTORS_MAX * 4))
_vector: Final = ctypes.create_string_buffer(
    _IOVEC.pack(ctypes.addressof(_body), len(_body)), _IOVEC.size
)
_EMPTY: Final = (0, 0, ctypes.addressof(_vector), 1, ctypes.addressof(_control), len(_control), 0)
_header: Final = ctypes.create_string_buffer(_MSGHDR.size)
_INTO: Final = ctypes.byref(_header)
_NUMBERS: Final = struct.pack(
    f"@{DESCRIPTORS_MAX}i", *range(FIRST, FIRST + DESCRIPTORS_MAX)
)  # that the kernel gives, being the lowest
# It gives up the interpreter's lock: what was imported may have threads.
_recvmsg: Final = ctypes.CDLL(None, use_errno=True).recvmsg


# The body; how many descriptors came, close-on-exec, with the numbers from FIRST on; whether body and descriptors are whole. A bare tuple: to make a named one touches as much as all else.
Arrived = tuple[bytes, int, bool]


def empty() -> None:
    """Make room for a packet again, where there was one before."""
    _MSGHDR.pack_into(_header, 0, *_EMPTY)


def arrived(link: int) -> Arrived | None:
    """Wait for a packet at a socket, in a process that has the descriptors below FIRST and none above; return nothing at the end. Raises OSError."""
    while (size := _recvmsg(link, _INTO, CLOSED_ON_EXEC)) < 0:
        code = ctypes.get_errno()
        if code == errno.ECONNRESET:
            return None
        if code != errno.EINTR:
            raise OSError(code, f"the assignment: {os.strerror(code)}")
    _, _, _, _, _, control_bytes, flags = _MSGHDR.unpack(_header)
    numbers = b""
    if control_bytes:
        length, _, _ = _CMSGHDR.unpack_from(_control)
        numbers = _control[_CMSGHDR_BYTES:length]  # type: ignore[assignment] # of characters that is bytes
    elif not size:
        return None
    assert _NUMBERS.startswith(numbers)
    body: bytes = _body[:size] if size else b""  # type: ignore[assignment] # as above
    return body, len(numbers) // 4, not flags & CUT


empty()
