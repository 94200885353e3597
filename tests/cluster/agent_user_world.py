"""A node whose spawner is root and whose agent is somebody else: folders, processes, and an agent that does what it is told.

Run as a program it is that agent:

    python agent_user_world.py SOCKET      reads lines of JSON, each a launch: {"job", "binds": [[path, writable, what the descriptor leads to]], ...}; writes a line for each:
                                           ["ended", cause, exit code, what it printed], or [code, text] of why it did not run
                                           an empty one: whether it can send signals itself to its spawner, and to a slice that runs
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import runink
from runink.errors import RuninkError
from runink.sandbox.door import listen
from runink.sandbox.rights import User
from runink.sandbox.spawning import words_of
from runink.sandbox.starting import running_spawner
from sandbox_world import World, line_of, place_in, shown

AGENT = User(61_234, 61_235)  # numbers that nobody has
STRANGER = User(61_236, 61_237)
ROOT = User(0, 0)
WAIT_S = 60
CHECKOUT = Path(runink.__path__[0]).parent
REACHED = [f"reach={folder}" for folder in (CHECKOUT, sys.prefix, sys.base_prefix)]
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}


def as_user(user: User | None, *words: str, mounts: tuple[str, ...] = ()) -> list[str]:
    """Return the command that does this as another user, who reaches what Runink is installed as wherever that lies."""
    named = f"{user.uid}:{user.gid}" if user else ""
    script = str(Path(__file__).with_name("within_reach.py"))
    return [sys.executable, script, named, *REACHED, *mounts, "--", *words]


@dataclass
class Estate:
    """`run` is root's, for sockets; `home` is the agent's alone; `closed` is root's, for nobody else, `open_` root's for all to read."""

    root: Path
    home: Path = field(init=False)

    def __post_init__(self) -> None:
        self.home = self.folder("home", 0o700, AGENT)
        for name, mode in (("run", 0o755), ("closed", 0o700), ("open", 0o755)):
            self.folder(name, mode)

    def folder(self, path: str, mode: int, owner: User = ROOT) -> Path:
        return self._owned(self.root / path, mode, owner, is_folder=True)

    def file(self, path: str, mode: int, owner: User = ROOT) -> Path:
        return self._owned(self.root / path, mode, owner, is_folder=False)

    def _owned(self, path: Path, mode: int, owner: User, *, is_folder: bool) -> Path:
        if is_folder:
            path.mkdir()
        else:
            path.write_text("content")
        os.chown(path, *owner)
        path.chmod(mode)
        return path

    @property
    def socket(self) -> Path:
        return self.root / "run" / "spawner.sock"

    def owner_of(self, path: str) -> User:
        found = (self.home / path).stat()
        return User(found.st_uid, found.st_gid)


@contextmanager
def estate_in_tmp() -> Iterator[Estate]:
    """Make one that others can reach: a test's own folder is closed to them."""
    root = Path(tempfile.mkdtemp(prefix="runink-estate-"))
    root.chmod(0o755)
    try:
        yield Estate(root)
    finally:
        shutil.rmtree(root)


@contextmanager
def service(
    estate: Estate, *, mounts: tuple[str, ...] = (), **changes: Any
) -> Iterator[subprocess.Popen[str]]:
    """Run a spawner as a service for AGENT, with the entries of the sandbox's tests."""
    values = {"socket": estate.socket, "user": AGENT, "state": estate.home, "orphan_s": 20.0}
    place = place_in(estate.root / "run", **values | changes)
    with listen(str(place.socket), place.user) as listening:
        words = words_of(place, stays=True)
        words[words.index("--socket-fd") + 1] = str(listening.fileno())
        child = subprocess.Popen(
            as_user(None, *words, mounts=mounts),
            pass_fds=[listening.fileno()],
            extra_groups=[ROOT.gid],  # as a login of root's has it
            stderr=subprocess.PIPE,
            text=True,
        )
    with ended(child):
        yield child


@contextmanager
def ended(child: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Have a process for as long as the block, and what it has said to the end."""
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise


class Agent:
    """An agent of another user, in a process of its own."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child

    def launch(
        self, *binds: tuple[Path | str, bool] | tuple[Path | str, bool, Path | str], **wanted: Any
    ) -> list[Any]:
        """Launch a slice; return that it has begun, or why not. A bind is a path, whether it is to be written, and what its descriptor leads to if not to that."""
        asked = [
            [str(path), is_writable, str((*meant, path)[0])] for path, is_writable, *meant in binds
        ]
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(json.dumps({"binds": asked} | wanted) + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def signals(self) -> list[str]:
        """Have it try whom it may send signals to."""
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write("{}\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())


@contextmanager
def agent_of(
    estate: Estate, *, user: User | None = AGENT, mounts: tuple[str, ...] = ()
) -> Iterator[Agent]:
    words = as_user(user, sys.executable, __file__, str(estate.socket), mounts=mounts)
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env=ENVIRONMENT,
    ) as child:
        yield Agent(child)
        assert child.stdin is not None
        child.stdin.close()
        child.wait(timeout=WAIT_S)


async def be_agent(path: str) -> None:
    place = place_in(Path("/nowhere"), socket=Path(path), is_service=True)
    async with running_spawner(place, agent="test") as spawner:
        world = World(spawner)
        async with anyio.create_task_group() as hearing:
            hearing.start_soon(world.hear)
            for number, line in enumerate(sys.stdin):
                asked = json.loads(line)
                name = f"slice {number}"
                answer = (
                    await launched(world, name, **asked) if asked else await signals(world, name)
                )
                print(json.dumps(answer), flush=True)  # noqa: T201 - it is what is asked for
            hearing.cancel_scope.cancel()


async def launched(
    world: World, name: str, *, binds: list[Any], job: str = "nothing", **wanted: Any
) -> list[Any]:
    try:
        with shown(*(Path(meant) for _, _, meant in binds)) as held:
            asked = [
                bind._replace(path=path, is_writable=is_writable)
                for bind, (path, is_writable, _) in zip(held, binds, strict=True)
            ]
            exited, out, _ = await world.ran(job, name, binds=asked, **wanted)
    except RuninkError as error:
        return [error.code, error.text]
    return ["ended", exited.cause, exited.code, out]


async def signals(world: World, name: str) -> list[str]:
    """Return what comes of signals to the spawner, to a slice's first process, and of asking the spawner to end that."""
    running = await world.launch("wait", name)
    assert await line_of(running.stdout) == "waiting"
    found = []
    for pidfd in (world.spawner.pidfd, running.pidfd):
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except OSError as error:
            found.append(errno.errorcode[error.errno or 0])
        else:
            found.append("sent")
    assert await world.spawner.kill(name)
    found.append((await world.exited(name)).cause)
    running.close()
    return found


if __name__ == "__main__":
    anyio.run(be_agent, sys.argv[1])
