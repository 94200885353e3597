"""A project in a folder, and `runi` run in it as a person would: its own process, its output and exit code.

Made by the `project` fixture of `conftest.py`, which ends every process that a test leaves behind.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RUNI = [sys.executable, "-m", "runink.cli.main"]
RUN_S_MAX = 120  # a run of a test's size takes a second; a loaded machine takes ten, one that is emulated there a minute
ENDED = (
    errno.ENOENT,
    errno.ESRCH,
    errno.EINVAL,
)  # what /proc says of who has ended, the last of who was not waited for yet


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        found = self.document["error"]
        assert found is not None, self
        return found


@contextmanager
def ready(child: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a cluster running from when it says that it is ready, for as long as the block."""
    try:
        assert child.stderr is not None
        line = child.stderr.readline().decode()
        assert line.startswith("ready"), line + child.stderr.read().decode()
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=RUN_S_MAX)


def proc_text(pid: int, name: str) -> str:
    """Return what a file of /proc says of a process; nothing if that has ended meanwhile, as who clones a cell does at once."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    except OSError as error:
        if error.errno not in ENDED:
            raise
        return ""


def named(name: str) -> list[int]:
    """Return the processes of this machine that have this name."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [pid for pid in pids if proc_text(pid, "comm") == f"{name}\n"]


def first_of(pids: list[int]) -> int:
    """Return the one of these processes that has started the others, if there are any: a copy of it is called as it is until it has become something else."""
    found = [pid for pid in pids if _parent_of(pid) not in pids]
    assert len(found) == 1, found
    return found[0]


def _parent_of(pid: int) -> int:
    words = proc_text(pid, "stat").rpartition(")")[2].split()
    return int(words[1]) if words else 0


@dataclass
class Project:
    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, text: str | bytes) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        return target

    def pipeline(self, body: str, *, file: str = "features/p.dsl", herd: str = "") -> str:
        """Write a pipeline of one scenario with these lines, and return its path."""
        lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
        head = f'@herd("{herd}")\n' if herd else ""
        self.write(file, f"{head}Feature: a test\n\n  Scenario: one\n{lines}\n")
        return file

    def step(self, text: str) -> None:
        self.write("steps/s.py", "from runink import step\n" + text)

    def contract(self, text: str) -> None:
        head = "from typing import Annotated, Literal\nfrom runink import Contract, Field\n"
        self.write("contracts/c.py", head + text)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def rows(self, path: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.read(path).splitlines()]

    def files(self, folder: str) -> list[str]:
        """Return every file below a folder, hidden ones too."""
        found = (self.root / folder).rglob("*")
        return sorted(str(path.relative_to(self.root)) for path in found if path.is_file())

    def popen(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start `runi`; `world` are the words of what it is to be started by."""
        return subprocess.Popen(
            [*options.pop("world", ()), *RUNI, *words],
            cwd=options.pop("cwd", self.root),
            env={**os.environ, **self.environment},
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            **options,
        )

    def runi(self, *words: str, given: bytes | None = None, **options: Any) -> Said:
        if given is not None:
            options["stdin"] = subprocess.PIPE
        child = self.popen(*words, **options)
        try:
            out, err = child.communicate(given, timeout=RUN_S_MAX)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            raise AssertionError(f"runi {' '.join(words)} hangs: {out!r} {err!r}") from None
        return Said(child.returncode, (out or b"").decode(), (err or b"").decode())

    def run(self, file: str = "features/p.dsl", *words: str, **options: Any) -> Said:
        """Run a pipeline and return its document."""
        return self.runi("run", file, "-o", "json", *words, **options)

    @contextmanager
    def up(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Keep a cluster running for as long as the block."""
        with ready(self.popen("up", *words)) as child:
            yield child

    def end(self) -> None:
        """Kill whatever of it still runs."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Return every process that has this project's folder in its command line or as its working folder, and all that descend from these."""
        found = set()
        parents = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                cwd = str((entry / "cwd").readlink())
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                parents[int(entry.name)] = int(parent)
                if str(self.root) in words or cwd.startswith(str(self.root)):
                    found.add(int(entry.name))
        # A slice's first process names nothing of the project.
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)
