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
from runink.cli.options import output_option, project_here, state_folder, state_option
from runink.cli.wording import counted, echo_json
from runink.errors import RuninkError
from runink.pipes.open import PIPE_BYTES, open_pipe, widen
from runink.projects import compile_file
from runink.quantities import format_bytes

SYNCS: Final = 20
SYNC_SLOW_MS: Final = 50.0  # each change of state waits for one: a run has about ten
FREE_BYTES_MIN: Final = 1 << 30
FILES_MIN: Final = 1024
PYTHON_MIN: Final = (3, 11)
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
def doctor(output: str, state: Path | None) -> None:
    """Check this machine and this project, and say what to mend. Exit code 1 if something must be."""
    root = project_here()
    found = list(looked_at(root, state_folder(state, root)))
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


def looked_at(root: Path, state: Path) -> Iterator[Found]:
    """Yield what was found, cheapest first."""
    yield _python()
    yield _kernel()
    yield from _packages()
    yield _files()
    yield _pipes()
    yield _disk(state)
    yield from _pipelines(root)


def _python() -> Found:
    verdict = Verdict.OK if sys.version_info >= PYTHON_MIN else Verdict.BAD
    return Found("python", verdict, platform.python_version())


def _kernel() -> Found:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if sys.platform != "linux" or numbers < KERNEL_MIN:
        return Found("kernel", Verdict.BAD, f"{sys.platform} {release}", "Linux 5.4 or later")
    return Found("kernel", Verdict.OK, f"Linux {release}")


def _packages() -> Iterator[Found]:
    for name, extra in (
        ("pyarrow", "data"),
        ("duckdb", "data"),
        ("polars", "data"),
        ("lark", "server"),
    ):
        try:
            yield Found(name, Verdict.OK, version(name))
        except PackageNotFoundError:
            yield Found(name, Verdict.BAD, "missing", f"pip install 'runink[{extra}]'")


def _files() -> Found:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < FILES_MIN:
        return Found("files", Verdict.WARNING, f"{hard} open files at most", "raise ulimit -n")
    return Found("files", Verdict.OK, f"{soft} open files, up to {hard}")


def _pipes() -> Found:
    ends = open_pipe()
    try:
        size = widen(ends.write)
    finally:
        os.close(ends.read)
        os.close(ends.write)
    if size < PIPE_BYTES:
        hint = "raise fs.pipe-max-size and fs.pipe-user-pages-soft: data flows up to three times as fast"
        return Found("pipes", Verdict.WARNING, f"hold {size >> 10} KiB", hint)
    return Found("pipes", Verdict.OK, f"hold {size >> 10} KiB")


def _disk(state: Path) -> Found:
    """Measure how long a sync takes where the Barn keeps its log."""
    folder = state
    while not folder.exists():
        folder = folder.parent
    path = folder / f".runi-doctor.{os.getpid()}"
    try:
        sync_ms = _sync_ms(path)
    except OSError as error:
        return Found("disk", Verdict.BAD, f"{folder}: {error.strerror}", "give it space and rights")
    free = shutil.disk_usage(folder).free
    text = f"{format_bytes(free)} free, a sync takes {sync_ms:.1f} ms"
    if free < FREE_BYTES_MIN:
        return Found("disk", Verdict.WARNING, text, "free some space: runi clean forgets old runs")
    if sync_ms > SYNC_SLOW_MS:
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
