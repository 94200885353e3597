"""The process that makes herds' networks, killed as soon as it has reached a step: `python network_entries.py STEP`."""

from __future__ import annotations

import os
import signal
import socket
import sys

from runink.sandbox.network_helper import answered


def reached(step: str) -> None:
    if step == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    answered(socket.socket(fileno=0), reached=reached)
