"""An ordinary user for a test: without a name, a login, any right or a cgroup, and with a folder of its own.

Where the tests are root's, it is somebody else, to whom the project is shown (`become_user.py`).  Where they are an ordinary user's, it is that one.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runink.sandbox.ids import FIRST, RANGES
from runink.sandbox.namespaces import IDS
from runink.sandbox.skeleton import runtime_folders

ROOT: Final = Path(__file__).parents[2]
NOBODYS: Final = FIRST + RANGES * IDS  # the first id behind those of all herds: nobody has it
HOMES: Final = "/var/tmp"  # not beneath a slice's own /tmp, and whoever runs the tests may keep others out of his
END_S: Final = 60.0  # for a process that was killed
KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True)
class OrdinaryUser:
    """`home` is also where its temporary files are."""

    number: int
    home: Path

    def command(self, words: Sequence[Any]) -> list[str]:
        """Return what has the words run as this user, who is shown the project and what it runs with."""
        if not os.geteuid():
            shown = dict.fromkeys([ROOT, *map(Path, runtime_folders([]))])
            inner = [one for one in shown if shown.keys().isdisjoint(one.parents)]
            program = Path(__file__).with_name("become_user.py")
            words = [sys.executable, program, self.number, self.home, *inner, "--", *words]
        return [str(word) for word in words]

    def run(
        self, words: Sequence[Any], *, before: Sequence[str] = (), **changes: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `before` is what starts it while it is ours. `changes` are those of `subprocess.run`."""
        options = {"capture_output": True, "text": True, "env": self.environment(), "cwd": ROOT}
        return subprocess.run([*before, *self.command(words)], check=False, **options | changes)

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        names = dict.fromkeys(("USER", "LOGNAME"), "ordinary")
        return kept | names | dict.fromkeys(("HOME", "TMPDIR"), str(self.home))

    def give(self, folder: Path) -> None:
        """Have a folder and all that is in it be this user's."""
        if not os.geteuid():
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.number, self.number, follow_symlinks=False)

    def processes(self) -> list[int]:
        """Return the processes that have begun with its environment, which no other has."""
        mark = f"TMPDIR={self.home}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):  # it has ended, or is not ours
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found


@contextmanager
def ordinary_user() -> Iterator[OrdinaryUser]:
    """Give one for as long as the block; end what it has left running."""
    number = os.geteuid() or NOBODYS + os.getpid()
    user = OrdinaryUser(number, Path(tempfile.mkdtemp(prefix="runink-user-", dir=HOMES)))
    user.give(user.home)
    try:
        yield user
    finally:
        for pid in user.processes():
            _end(pid)
        shutil.rmtree(user.home)


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [], END_S)
        finally:
            os.close(pidfd)
