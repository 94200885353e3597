"""What every script of `bench/` shares: figures, how they are told, and how long something takes with all of its processes."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples/flights/data"
FLIGHTS = DATA / "flights.csv"
PLANES = DATA / "planes.csv"
FLIGHTS_ROWS = 336_776


@dataclass(frozen=True)
class Figure:
    """Ours against the reference, both measured in this run. `ratio` is ours through reference."""

    figure: str
    ours: float
    reference: float | None
    ratio: float | None
    must: str
    met: bool


def at_most(name: str, ours: float, reference: float, factor: float, *, digits: int = 3) -> Figure:
    """Return a figure that must be at most `factor` times the reference."""
    ratio = ours / reference
    return Figure(
        name,
        round(ours, digits),
        round(reference, digits),
        round(ratio, 3),
        f"<= {factor}",
        ratio <= factor,
    )


def at_least(name: str, ours: float, reference: float, factor: float) -> Figure:
    """Return a figure that must be at least `factor` times the reference."""
    ratio = ours / reference
    return Figure(
        name, round(ours, 3), round(reference, 3), round(ratio, 3), f">= {factor}", ratio >= factor
    )


def above(name: str, ours: float, least: float, reference: float | None = None) -> Figure:
    """Return a figure with a lower limit of its own; the reference is measured beside it, if there is one."""
    ratio = round(ours / reference, 3) if reference else None
    shown = round(reference, 3) if reference else None
    return Figure(name, round(ours, 3), shown, ratio, f"ours >= {least}", ours >= least)


def below(name: str, ours: float, most: float, reference: float | None = None) -> Figure:
    """Return a figure with a limit of its own; the reference is measured beside it."""
    ratio = round(ours / reference, 3) if reference else None
    shown = round(reference, 3) if reference else None
    return Figure(name, round(ours, 3), shown, ratio, f"ours <= {most}", ours <= most)


def shown(name: str, ours: float, reference: float) -> Figure:
    """Return a figure that need not reach anything."""
    return Figure(
        name, round(ours, 3), round(reference, 3), round(ours / reference, 3), "-", met=True
    )


def main(
    measure: Callable[[argparse.Namespace], Sequence[Figure]], description: str, **options: Any
) -> None:
    """Measure and tell; exit code 1 if a figure misses what it must reach."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print a list of figures")
    for name, default in options.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    arguments = parser.parse_args()
    try:
        figures = measure(arguments)
    except ModuleNotFoundError as error:
        sys.exit(
            f"{error.name} is missing; `make .venv-bench/ready` installs what ours is measured against"
        )
    if arguments.json:
        print(json.dumps([asdict(one) for one in figures], indent=1))
    else:
        for one in figures:
            print("  ".join(f"{key} {value}" for key, value in asdict(one).items()))
    sys.exit(0 if all(one.met for one in figures) else 1)


@dataclass(frozen=True)
class Took:
    """Seconds on the wall, and of processors, of a command with all processes that it waited for."""

    wall_s: float
    cpu_s: float
    out: str


def timed(words: Sequence[str], **options: Any) -> Took:
    """Run a command to its end. Raises if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.PIPE, check=False, **options)
    wall_s = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stdout.decode()}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(wall_s, cpu_s, done.stdout.decode())


def middle(values: Sequence[float]) -> float:
    return median(values)


def pss_bytes(pids: Sequence[int]) -> int:
    """Return the memory of these processes, shared pages divided among those that share them."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue  # it has ended meanwhile
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024


def descendants(pid: int) -> list[int]:
    """Return the process and all that it, or one of those, has started."""
    found = [pid]
    for one in found:
        for tasks in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += [int(child) for child in tasks.read_text().split()]
            except OSError:
                continue
    return found
