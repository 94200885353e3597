"""A rehearsal's end, as a slice's job: compare what a run has prepared with its golden files.

Nothing of the output is published or changed; it is read where it was written aside.  All goldens are compared before the job fails, so
that one rehearsal tells all that is different.  With `update` nothing is compared: the output becomes the golden.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from runink.contracts.golden import compare
from runink.dag import Golden, Sink, Source
from runink.errors import Refused, RuninkError, to_wire
from runink.jobs import CompareJob, Done, Failed
from runink.pipes.plain import plain
from runink.steps.chain import Cancelled
from runink.steps.channels import Failure
from runink.steps.doors import Doors
from runink.steps.failures import failed_by
from runink.steps.golden_files import read_golden, write_golden

ROWS_MAX: Final = 1_000_000  # of an output that is compared: it is held whole
LINES_MAX: Final = (
    200  # of differences, all goldens together: a report has to cross a pipe and be read
)


def run_compare(job: CompareJob, *, doors: Doors) -> Done | Failed:
    """Compare each golden with the output of its sink, or write it. Returns Failed with the differences, or at the first that cannot be compared."""
    lines: list[str] = []
    differing: list[Golden] = []
    node = ""
    try:
        for golden in job.goldens:
            node = golden.sink
            found = _differences(golden, job, doors)
            if found:
                differing.append(golden)
                lines += [f"{golden.path} and the output of {golden.sink} differ:", *found]
    except (Cancelled, KeyboardInterrupt) as interrupt:
        by = str(interrupt) or "an interrupt"
        return Failed(to_wire(Refused(f"cancelled by {by}", code="cancelled")))
    except Exception as error:  # noqa: BLE001 - a disk, a network, a library: it is told
        return failed_by(
            Failure(node, error, None, exact=False),
            job.sinks,
            bundle="",
            neighbours=doors.neighbour_failures,
        )
    if differing:
        return Failed(to_wire(_differ(lines)), step=differing[0].sink)
    return Done()


def _differ(lines: list[str]) -> RuninkError:
    left = len(lines) - LINES_MAX
    shown = [*lines[:LINES_MAX], *([f"… and {left:,} more lines"] if left > 0 else [])]
    return Refused(
        "\n".join(shown),
        code="golden_differs",
        hint="mend the pipeline; or, where the new output is right, runi test --update",
    )


def _differences(golden: Golden, job: CompareJob, doors: Doors) -> tuple[str, ...]:
    """Return what is different, in lines; nothing where the golden was written instead."""
    sink = next(sink for sink in job.sinks if sink.id == golden.sink)
    actual = _output(sink, job, doors)
    path = Path(job.project) / golden.path
    if job.update:
        write_golden(path, actual, shown=golden.path, key=golden.key)
        return ()
    expected = read_golden(path, shown=golden.path, like=actual.schema)
    return tuple(compare(expected, actual, key=golden.key, tolerance=golden.tolerance).lines)


def _output(sink: Sink, job: CompareJob, doors: Doors) -> pa.Table:
    """Read what the sink's writers have prepared, whole. Raises Refused where it keeps nothing, or too much."""
    asides = tuple(one.aside for one in job.prepared if one.sink == sink.id)
    if not asides:
        raise Refused(
            f"{sink.uri} has prepared nothing to compare",
            code="golden_no_output",
            hint="a golden belongs to a sink that writes a file, not to standard output",
        )
    source = Source(
        sink.id, sink.scenario, sink.uri, sink.format, sink.path, contract=sink.contract
    )
    reader = doors.source(source, root=Path(job.project), staged=asides, stdin_fd=None)
    batches: list[pa.RecordBatch] = []
    rows = 0
    try:
        for batch in reader.batches():
            batches.append(plain(batch.data))
            rows += batch.data.num_rows
            if rows > ROWS_MAX:
                raise Refused(
                    f"{sink.uri} has more than {ROWS_MAX:,} rows, too many to compare",
                    code="golden_too_large",
                    hint="let the scenario read a smaller input in its test",
                )
    finally:
        reader.close()
    return pa.Table.from_batches(batches) if batches else pa.table({})
