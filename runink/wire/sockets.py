"""Sockets: who may listen where, and who may come in.

Unix   mode 0600 from its first moment (set on the descriptor, before the name exists); the peer's user must be ours (SO_PEERCRED)
       what is left of a process that was killed is replaced; what somebody listens on is not
       longer paths than a socket's address holds go through the folder's descriptor
TCP    without TLS on loopback only
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import anyio

from runink.errors import Conflict, Forbidden, LinkLost, NotFound, Refused

ACCEPT_PAUSE_S: Final = 0.1  # when the process is out of descriptors
BACKLOG: Final = 128
SOCKET_MODE: Final = 0o600
_ADDRESS_BYTES_MAX: Final = 107  # of `sun_path`, with its final zero
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid

_log = logging.getLogger(__name__)


def listen_unix(path: Path) -> socket.socket:
    """Return a socket that listens at the path, for this user only. Raises Conflict if somebody listens there, Refused if it cannot be made."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), SOCKET_MODE)
        with unix_address(path) as address:
            _clear_stale(path, address)
            listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise Refused(
            f"cannot listen at {path}: {error.strerror or error}",
            code="cannot_listen",
            hint="the folder must exist, and be yours",
        ) from error
    except BaseException:
        listener.close()
        raise
    return listener


def unlink_unix(listener: socket.socket, path: Path, *, made: os.stat_result) -> None:
    """Close the listener and take its name away, unless somebody else has put another there (`made` is what it was)."""
    listener.close()
    with suppress(FileNotFoundError):
        found = path.lstat()
        if (found.st_dev, found.st_ino) == (made.st_dev, made.st_ino):
            path.unlink()


def connect_unix(path: Path) -> socket.socket:
    """Return a connected socket. Raises NotFound if nobody listens there, Forbidden if it is not ours, LinkLost if it is too busy."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with unix_address(path) as address:
            connection.setblocking(False)  # the kernel takes it at once, or its queue is full
            connection.connect(address)
    except PermissionError as error:
        connection.close()
        raise Forbidden(f"{path} belongs to another user", code="not_ours") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        connection.close()
        raise NotFound(
            f"nobody listens at {path}", code="nobody_listens", hint="start it with: runi up"
        ) from error
    except OSError as error:
        connection.close()
        raise LinkLost(
            f"cannot connect to {path}: {error.strerror or error}", hint="try again"
        ) from error
    if (uid := peer_uid(connection)) != os.geteuid():
        connection.close()
        raise Forbidden(
            f"who listens at {path} is user {uid}, and lets in nobody else, root neither",
            code="not_ours",
            hint="ask as that user (sudo -u)",
        )
    return connection


async def accepted(listener: socket.socket) -> socket.socket:
    """Wait for the next connection to a listener that does not block. Out of descriptors it waits and tries again; what else goes wrong with one is logged."""
    while True:  # ends with a connection, or by being cancelled
        await anyio.wait_readable(listener)
        try:
            return listener.accept()[0]
        except BlockingIOError:
            continue
        except OSError as error:
            _log.warning("connection not accepted", extra={"error": str(error)})
            await anyio.sleep(ACCEPT_PAUSE_S)


def peer_uid(connection: socket.socket) -> int:
    """Return the user at the other end of a Unix socket."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(data)
    return int(uid)


def peer_host(connection: socket.socket) -> str:
    """Return the address at the other end, empty for a Unix socket, and where it has gone already."""
    if connection.family == socket.AF_UNIX:
        return ""
    try:
        return str(connection.getpeername()[0])
    except OSError:
        return ""


def check_peer(connection: socket.socket) -> None:
    """Raise Forbidden if the other end of a Unix socket is another user's."""
    uid = peer_uid(connection)
    if uid != os.geteuid():
        raise Forbidden(f"user {uid} may not connect to user {os.geteuid()}", code="wrong_user")


def listen_tcp(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises Refused."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Refused(
            f"cannot listen on {host} port {port}: {error.strerror or error}", code="cannot_listen"
        ) from error
    listener.setblocking(False)
    return listener


def check_may_listen(host: str, *, has_tls: bool) -> None:
    """Raise Refused if a host would be listened on that others reach, without TLS."""
    if has_tls or is_loopback(host):
        return
    raise Refused(
        f"refused to listen on {host} without TLS: whoever reaches it could read and forge messages",
        code="tls_required",
        hint="listen on 127.0.0.1, or give the node a certificate",
    )


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name may resolve to anything


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """Yield what stands for the path in a socket's address, however long the path is."""
    if len(os.fsencode(path)) <= _ADDRESS_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _clear_stale(path: Path, address: str) -> None:
    """Take away what a killed process has left at the path. Raises Conflict if it lives, Refused if it is no socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise Refused(f"{path} is in the way, and no socket", code="cannot_listen")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        found = probe.connect_ex(address)
    if found == errno.ECONNREFUSED:
        path.unlink(missing_ok=True)
        return
    raise Conflict(
        f"somebody listens at {path} already",
        code="already_listening",
        hint="only one `runi up` runs in a project",
    )
