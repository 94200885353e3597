"""A project that came from outside is compiled: in a process of its own, which has confined itself before it reads anything of it.

    standard input     Job, as JSON
    standard output    Made, as JSON

Contracts in Python are read by running their file, so what runs here may be anybody's code: it can read the project and Python's own files, compute for a while, and answer
(`sandbox/confining.py`). It can answer anything, too, so the answer is looked at as what any program might have sent (`compiling.py`).
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from runink.contracts.fields import ContractSpec
from runink.dag import Dag
from runink.dsl.recipes import Recipe
from runink.errors import Invalid, RuninkError, WireError, to_wire
from runink.herds.record import HerdRecord
from runink.projects import compile_file, compile_scheduled, contract_told_at
from runink.sandbox.confining import confine

MEMORY_BYTES_MAX: Final = 1 << 30
CPU_S_MAX: Final = 10
# What Python and its libraries read beside their own folders.
_OF_THE_SYSTEM: Final = ("/lib", "/lib64", "/usr/lib", "/usr/share/zoneinfo", "/dev/null", "/dev/urandom")  # fmt: skip


class Job(msgspec.Struct, frozen=True):
    """What is to be made of a project's file: its `contract` (`""`: the only one), or its pipeline, as its next tick behind `tick_ms` would run it if that is not 0."""

    file: str
    parameters: dict[str, str] = {}
    tick_ms: int = 0
    contract: str | None = None


class Made(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was made, or why nothing was. `herd` is what the project's own file says of the pipeline's herd."""

    dag: Dag | None = None
    recipe: Recipe | None = None
    contract: ContractSpec | None = None
    herd: HerdRecord | None = None
    notes: tuple[str, ...] = ()
    refused: WireError | None = None


def made(job: Job) -> Made:
    """Do a job, in the project that the process stands in. Raises RuninkError."""
    file = Path(job.file)
    if job.contract is not None:
        spec, notes = contract_told_at(file, job.contract)
        return Made(contract=spec, notes=notes)
    if job.tick_ms:
        compiled, recipe = compile_scheduled(file, given=job.parameters, now_ms=job.tick_ms)
    else:
        compiled, recipe = compile_file(file, parameters=job.parameters), None
    return Made(compiled.dag, recipe, None, compiled.herd, compiled.notes)


def _readable() -> Iterator[str]:
    package = Path(__file__).parent.parent
    paths = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    for path in {str(package), *paths, *_OF_THE_SYSTEM, str(Path.cwd())}:
        if Path(path).exists():
            yield path


def main() -> None:
    """Read a job, confine this process, do it and say what was made."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    answer = os.dup(1)
    os.dup2(2, 1)  # what a project's file prints is no answer
    os.dup2(answer, 0)
    confine(_readable(), memory_bytes=MEMORY_BYTES_MAX, cpu_s=CPU_S_MAX)
    try:
        found = made(job)
    except RuninkError as error:
        found = Made(refused=to_wire(error))
    except (MemoryError, RecursionError) as error:
        text = f"the project takes more room than there is to compile it ({type(error).__name__})"
        found = Made(refused=to_wire(Invalid(text, code="compile_too_large")))
    with os.fdopen(0, "wb", closefd=False) as out:
        out.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
