"""The log of spawner and fork server: one event a line, as JSON, to standard error.

The descriptor may be a pipe whose reader is gone or a full disk; a log that cannot be written ends nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import time

STDERR = 2
DESCRIPTION_MAX = (
    500  # characters; escaped and with a name before it, it stays below what a message takes
)


def log(event: str, **fields: str | float | list[str]) -> None:
    """Write one line: the time in seconds of the Unix epoch, our process, the event (past tense), its fields."""
    line = {"time": round(time.time(), 3), "pid": os.getpid(), "event": event} | fields
    with contextlib.suppress(OSError):
        os.write(STDERR, json.dumps(line).encode() + b"\n")


def describe(error: BaseException) -> str:
    """Say what went wrong, in a text that may stand in a message: short, and encodable whatever file name it holds."""
    text = f"{type(error).__name__}: {error}".replace("\0", "\\0")
    return text[:DESCRIPTION_MAX].encode(errors="backslashreplace").decode()
