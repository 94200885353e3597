"""How a gang comes to life: its jobs, its pipes, its processes.

A pipe is made for every link between two slices of the gang.  The agent holds both ends only for the time of the launch: the reader
would never see the end of a pipe whose writing end somebody else still holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from runink.dag import Dag, Link, Step
from runink.errors import Refused
from runink.jobs import SliceJob
from runink.pipes.open import open_pipe
from runink.runs.jobs import ChainPlan, Folders, chain_plan, closing_job
from runink.runs.records import RunRecord, SliceRecord, Task

ENVIRONMENT_PREFIXES = ("AWS_", "RUNINK_")  # what object stores and users' own settings go by


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a node keeps what belongs to runs."""

    state: Path

    def folders(self, run: RunRecord) -> Folders:
        return Folders(
            bundle=str(self.state / "bundles" / run.bundle), run=str(self.run_folder(run.run))
        )

    def run_folder(self, run: str) -> Path:
        return self.state / "runs" / run


@dataclass(frozen=True, slots=True)
class Launch:
    """A slice that is to be launched. `name` is its name at the spawner, `modules` what its steps import."""

    record: SliceRecord
    name: str
    job: bytes
    cwd: str
    scratch: Path | None = None
    inputs: tuple[Link, ...] = ()
    outputs: tuple[Link, ...] = ()
    stdin: str = ""
    stdout: str = ""
    modules: frozenset[str] = frozenset()


def process_name(record: SliceRecord) -> str:
    """Return the name that a slice's attempt has at the spawner."""
    return f"{record.herd}/{record.run}/{record.slice}/{record.attempt}"


def environment() -> dict[str, str]:
    """Return what a slice gets of the agent's environment, beside what the spawner gives every slice."""
    return {
        name: value for name, value in os.environ.items() if name.startswith(ENVIRONMENT_PREFIXES)
    }


def launches_of(
    dag: Dag,
    run: RunRecord,
    records: Iterable[SliceRecord],
    slices: Mapping[str, SliceRecord],
    workplace: Workplace,
) -> list[Launch]:
    """Return what is to be launched for these slices of a run."""
    folders = workplace.folders(run)
    return [
        _chain(run, record, chain_plan(dag, run, record, slices=slices, folders=folders))
        if record.task is Task.CHAIN
        else _plain(run, record, closing_job(dag, run, record, slices=slices, folders=folders))
        for record in records
    ]


def _chain(run: RunRecord, record: SliceRecord, plan: ChainPlan) -> Launch:
    steps = [node for node in plan.job.nodes if isinstance(node, Step)]
    return Launch(
        record=record,
        name=process_name(record),
        job=encode_job(plan.job),
        cwd=run.project,
        scratch=Path(plan.job.scratch),
        inputs=plan.inputs,
        outputs=plan.outputs,
        stdin=run.stdin if plan.uses_stdin else "",
        stdout=run.stdout if plan.uses_stdout else "",
        modules=frozenset(module for step in steps for module in step.modules),
    )


def _plain(run: RunRecord, record: SliceRecord, job: SliceJob) -> Launch:
    return Launch(record, process_name(record), encode_job(job), run.project)


_encoder = msgspec.msgpack.Encoder()


def encode_job(job: SliceJob) -> bytes:
    """Return a job as the slice gets it (`actors/slice.py` decodes it)."""
    return _encoder.encode(job)


@contextmanager
def gang_descriptors(launches: Sequence[Launch]) -> Iterator[list[list[int]]]:
    """Make the gang's pipes and yield each slice's descriptors, in the order that its job names; all are closed at the end.

    Raises Refused (`stdin_unreadable`, `stdout_unwritable`) if the run's standard input or output cannot be opened.
    """
    held: list[int] = []
    try:
        ends: dict[Link, tuple[int, int]] = {}
        for link in (link for launch in launches for link in launch.outputs):
            ends[link] = open_pipe()
            held.extend(ends[link])
        found: list[list[int]] = []
        for launch in launches:
            mine = [ends[link][0] for link in launch.inputs]
            mine += [ends[link][1] for link in launch.outputs]
            for path, flags in ((launch.stdin, os.O_RDONLY), (launch.stdout, os.O_WRONLY)):
                if path:
                    mine.append(_opened(path, flags))
                    held.append(mine[-1])
            found.append(mine)
        yield found
    finally:
        for descriptor in held:
            os.close(descriptor)


def _opened(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        what = "input" if flags == os.O_RDONLY else "output"
        raise Refused(
            f"the run's standard {what} cannot be opened: {error.strerror}",
            code=f"std{what[:-3]}_unusable",
            hint="give it a file or a pipe",
        ) from error
