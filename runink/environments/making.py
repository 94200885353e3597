"""Runs the worker that makes one environment, and keeps what it says.

The worker ends with whoever started it: its standard input is ours.  On a time-out or a cancellation it is killed with all that it
started.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Final

import anyio
from anyio.abc import Process

from runink.environments import worker
from runink.environments.diagnosing import Mask, diagnosed
from runink.environments.lock import Lock
from runink.errors import Unavailable

LINES_KEPT_MAX: Final = 200  # of one making; a lock of some hundred packages is a line each
LINE_CHARACTERS_MAX: Final = 1_000
END_S: Final = 5.0  # for a killed worker to be gone
READ_BYTES: Final = 16 << 10

Told = Callable[[str], None]
ENVIRONMENT_BYTES_MAX: Final = 8 << 30  # the largest that people install for data and models

# What uv is told of this process's environment: where packages come from, how to get there, and nothing that changes what is checked.
_KEPT: Final = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "NETRC", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "ALL_PROXY", "NO_PROXY"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    | {"UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_OFFLINE"}
    | {"UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS"}
    | {"UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_CONFIG_FILE"}
    | {"UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_INSTALLS"}
)


async def make(lock: Lock, folder: Path, *, cache: Path, target: Path, told: Told) -> Path:
    """Make the lock's environment within `folder`, and return where it is there. `told` gets each line that uv prints, without secrets.

    Raises what `diagnosing` knows.
    """
    await anyio.Path(folder / worker.REQUIREMENTS).write_text(lock.rendered())
    environment = uv_environment()
    mask = Mask(environment)
    lines: deque[str] = deque(maxlen=LINES_KEPT_MAX)

    def heard(line: bytes) -> None:
        text = mask.masked(line.decode(errors="replace"))[:LINE_CHARACTERS_MAX].rstrip()
        if text:
            lines.append(text)
            told(text)

    words = [sys.executable, "-I", "-S", worker.__file__, uv_program()]
    words += [str(folder), str(cache), str(target), str(ENVIRONMENT_BYTES_MAX)]
    # Its settings are looked for from the root on: those of the project beside our state are not the node's.
    process = await anyio.open_process(
        words,
        stdin=PIPE,
        stdout=PIPE,
        stderr=STDOUT,
        cwd="/",
        env=environment,
        start_new_session=True,
    )
    try:
        await _hear(process, heard)
        code = await process.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    if code:
        raise diagnosed(lock, code, list(lines))
    return folder / worker.ENVIRONMENT


def uv_program() -> str:
    """Return the path of uv. Raises Unavailable (`uv_missing`)."""
    from uv import find_uv_bin  # noqa: PLC0415 - an agent whose runs bring no packages does without

    try:
        return find_uv_bin()
    except FileNotFoundError as error:
        raise Unavailable(
            "uv, which installs packages, is not beside Runink",
            code="uv_missing",
            hint="install Runink with what it depends on: pip install runink",
        ) from error


async def _hear(process: Process, heard: Callable[[bytes], None]) -> None:
    assert process.stdout is not None, "it was opened with a pipe"
    rest = b""
    async for chunk in process.stdout:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            heard(line)
        if len(rest) > READ_BYTES:
            heard(rest)
            rest = b""
    heard(rest)


async def _end(process: Process) -> None:
    """End what still runs of it, and let go of its pipes."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
    with anyio.move_on_after(END_S):
        await process.aclose()


def uv_environment() -> dict[str, str]:
    """Return the environment that uv gets. `UV_INDEX` and what begins with `UV_INDEX_` are addresses, names and passwords of indexes."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith("UV_INDEX")
    }
