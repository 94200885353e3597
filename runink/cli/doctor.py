"""`runi doctor`: looks at this machine and this project as a run would, and says what to mend."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import click

from runink.cli.exits import ExitCode
from runink.cli.options import (
    absolute,
    output_option,
    project_here,
    spawner_option,
    state_folder,
    state_option,
)
from runink.cli.wording import echo_json
from runink.errors import RuninkError
from runink.machine_reading import user_text
from runink.pipes.open import PIPE_BYTES, open_pipe, widen
from runink.projects import compile_file
from runink.quantities import counted, format_bytes
from runink.sandbox.kernel import peer_ids
from runink.sandbox.spawning import connected
from runink.sandbox.starting import SERVICE_HINT

SYNCS: Final = 20
SYNC_SLOW_MS: Final = 50.0  # each change of state waits for one: a run has about ten
FREE_BYTES_MIN: Final = 1 << 30
FILES_MIN: Final = 1024
PYTHON_MIN: Final = (3, 11)
PACKAGES: Final = {
    "pyarrow": "data",
    "duckdb": "data",
    "polars": "data",
    "lark": "server",
}  # and what brings them
KERNEL_MIN: Final = (5, 4)  # pidfd, and the children of a thread in /proc


class Verdict(Enum):
    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    text: str
    hint: str = ""


@click.command()
@output_option
@state_option
@spawner_option
def doctor(output: str, state: Path | None, spawner: Path | None) -> None:
    """Check this machine and this project, and say what to mend. Exit code 1 if something must be."""
    root = project_here()
    found = list(looked_at(root, state_folder(state, root), absolute(spawner)))
    if output == "json":
        echo_json(
            [
                {"name": one.name, "verdict": one.verdict.value, "text": one.text, "hint": one.hint}
                for one in found
            ]
        )
    else:
        for one in found:
            click.echo(f"{one.verdict.value:<8} {one.name:<10} {one.text}")
            if one.hint:
                click.echo(f"{'':<20}help: {one.hint}")
    if any(one.verdict is Verdict.BAD for one in found):
        raise SystemExit(ExitCode.FAILED)


@dataclass(frozen=True, slots=True)
class Disk:
    """What the state's disk is like: bytes free, and how long a sync of the Barn's log takes. `error` is why it takes nothing."""

    folder: str
    free: int = 0
    sync_ms: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Users:
    """As whom a node that is started here would run, by number. `spawner` is where others run one for it, if they do, `served` as whom; `error` is why that is not reached."""

    agent: int
    spawner: str = ""
    served: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is judged. `packages` are those that are needed, by name, with the version that is there, or nothing."""

    python: tuple[int, ...]
    system: str
    release: str
    packages: dict[str, str | None]
    files: tuple[int, int]
    pipe_bytes: int
    disk: Disk
    users: Users


def looked_at(root: Path, state: Path, spawner: Path | None = None) -> Iterator[Found]:
    """Yield what was found, cheapest first."""
    yield from judged(facts_of(state, spawner))
    yield from _pipelines(root)


def facts_of(state: Path, spawner: Path | None = None) -> Facts:
    """Look at this machine. `spawner` is where others run one for the node."""
    return Facts(
        python=tuple(sys.version_info[:3]),
        system=sys.platform,
        release=platform.release(),
        packages={name: _version(name) for name in PACKAGES},
        files=resource.getrlimit(resource.RLIMIT_NOFILE),
        pipe_bytes=_pipe_bytes(),
        disk=_disk(state),
        users=_users(spawner),
    )


def judged(facts: Facts) -> Iterator[Found]:
    """Say of each fact whether it will do, and what to mend."""
    yield _python(facts.python)
    yield _kernel(facts.system, facts.release)
    for name, found in facts.packages.items():
        if found is None:
            hint = f"pip install 'runink[{PACKAGES[name]}]'"
            yield Found(name, Verdict.BAD, "missing", hint)
        else:
            yield Found(name, Verdict.OK, found)
    yield _files(*facts.files)
    yield _pipes(facts.pipe_bytes)
    yield _space(facts.disk)
    yield _agent(facts.users)
    yield _spawner(facts.users)


def _python(version: tuple[int, ...]) -> Found:
    text = ".".join(map(str, version))
    if version < PYTHON_MIN:
        return Found("python", Verdict.BAD, text, "Python 3.11 or later")
    return Found("python", Verdict.OK, text)


def _kernel(system: str, release: str) -> Found:
    numbers = tuple(int(part) for part in release.split("-", 1)[0].split(".")[:2] if part.isdigit())
    if system != "linux" or numbers < KERNEL_MIN:
        return Found("kernel", Verdict.BAD, f"{system} {release}", "Linux 5.4 or later")
    return Found("kernel", Verdict.OK, f"Linux {release}")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _files(soft: int, hard: int) -> Found:
    if hard != resource.RLIM_INFINITY and hard < FILES_MIN:
        return Found("files", Verdict.WARNING, f"{hard} open files at most", "raise ulimit -n")
    up_to = "without a limit" if hard == resource.RLIM_INFINITY else f"up to {hard}"
    return Found("files", Verdict.OK, f"{soft} open files, {up_to}")


def _pipe_bytes() -> int:
    ends = open_pipe()
    try:
        return widen(ends.write)
    finally:
        os.close(ends.read)
        os.close(ends.write)


def _pipes(size: int) -> Found:
    if size < PIPE_BYTES:
        hint = "raise fs.pipe-max-size and fs.pipe-user-pages-soft: data flows up to three times as fast"
        return Found("pipes", Verdict.WARNING, f"hold {size >> 10} KiB", hint)
    return Found("pipes", Verdict.OK, f"hold {size >> 10} KiB")


def _disk(state: Path) -> Disk:
    """Measure how long a sync takes where the Barn keeps its log."""
    folder = state
    while not folder.exists():
        folder = folder.parent
    path = folder / f".runi-doctor.{os.getpid()}"
    try:
        sync_ms = _sync_ms(path)
        return Disk(str(folder), shutil.disk_usage(folder).free, sync_ms)
    except OSError as error:
        return Disk(str(folder), error=error.strerror or str(error))


def _space(disk: Disk) -> Found:
    if disk.error:
        return Found(
            "disk", Verdict.BAD, f"{disk.folder}: {disk.error}", "give it space and rights"
        )
    text = f"{format_bytes(disk.free)} free, a sync takes {disk.sync_ms:.1f} ms"
    if disk.free < FREE_BYTES_MIN:
        return Found("disk", Verdict.WARNING, text, "free some space: runi clean forgets old runs")
    if disk.sync_ms > SYNC_SLOW_MS:
        return Found("disk", Verdict.WARNING, text, "put the state on a faster disk with --state")
    return Found("disk", Verdict.OK, text)


def _sync_ms(path: Path) -> float:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, bytes(1 << 16), 0)
        os.fsync(descriptor)
        took = sorted(_timed(lambda: _write_and_sync(descriptor)) for _ in range(SYNCS))
    finally:
        os.close(descriptor)
        path.unlink()
    return took[SYNCS // 2]


def _write_and_sync(descriptor: int) -> None:
    os.pwrite(descriptor, b"runi", 0)
    os.fdatasync(descriptor)


def _timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _users(spawner: Path | None) -> Users:
    """Look who runs the spawner, by knocking: it lets in nobody who does not say who it is."""
    ours = os.geteuid()
    if spawner is None:
        return Users(ours)
    try:
        with connected(spawner) as link:
            return Users(ours, str(spawner), served=peer_ids(link)[0])
    except OSError as error:
        return Users(ours, str(spawner), error=error.strerror or str(error))


def _agent(users: Users) -> Found:
    text = f"would run as {user_text(users.agent)}"
    if users.agent:
        return Found("agent", Verdict.OK, text)
    hint = "who takes it over has the machine: start it with runi up --user NAME, or as a service of a user's with runi spawn beside it"
    return Found("agent", Verdict.WARNING, text, hint)


def _spawner(users: Users) -> Found:
    if not users.spawner:
        return Found("spawner", Verdict.OK, f"would run as {user_text(users.agent)}")
    if users.error:
        return Found("spawner", Verdict.BAD, f"{users.spawner}: {users.error}", SERVICE_HINT)
    text = f"{users.spawner} runs as {user_text(users.served)}"
    if users.served in (0, users.agent):
        return Found("spawner", Verdict.OK, text)
    return Found(
        "spawner", Verdict.BAD, text, "it is neither root nor you: ask who has put it there"
    )


def _pipelines(root: Path) -> Iterator[Found]:
    for path in sorted((root / "features").glob("**/*.dsl")):
        name = path.relative_to(root).as_posix()
        try:
            dag = compile_file(path, parameters={}).dag
        except RuninkError as error:
            yield Found(
                "pipeline", Verdict.WARNING, f"{name}: {error.text}", f"runi compile {name}"
            )
        else:
            yield Found("pipeline", Verdict.OK, f"{name}: {counted(len(dag.slices), 'slice')}")
