"""A rehearsal's end, as a slice's job: compare what a run has prepared with its golden files.

Nothing of the output is published or changed; it is read where it was written aside.  All goldens are compared before the job fails, so
that one rehearsal tells all that is different.  With `update` nothing is compared: the output becomes the golden.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from runink.contracts.differences import GoldenResult
from runink.contracts.expected import Golden
from runink.contracts.golden import Comparison, compare
from runink.dag import Sink, Source
from runink.errors import Refused, RuninkError, WireError, to_wire
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
DIFFERS: Final = "golden_differs"
OF_THE_RUN: Final = ("dead_run",)  # columns of a dead letter that no two runs have alike


def run_compare(job: CompareJob, *, doors: Doors) -> Done | Failed:
    """Compare each golden with the output of its sink, or write it. Returns Failed with what does not hold, or at the first output that cannot be read."""
    results: list[GoldenResult] = []
    node = ""
    try:
        for golden in job.goldens:
            node = golden.sink
            result = _result(golden, job, doors)
            if result is not None:
                results.append(result)
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
    if results:
        return Failed(_error(results), step=results[0].sink, goldens=tuple(results))
    return Done()


def _error(results: list[GoldenResult]) -> WireError:
    """Return one error for all that does not hold: the differences, or where there are none the first golden that could not be compared."""
    first = next((one.error for one in results if one.error is not None), None)
    if first is not None and all(one.differences is None for one in results):
        return first
    lines: list[str] = []
    for one in results:
        if one.differences is not None:
            lines += [f"{one.path} and the output of {one.sink} differ:", *one.differences.lines]
        elif one.error is not None:
            lines.append(f"{one.path} cannot be compared: {one.error.text}")
    left = len(lines) - LINES_MAX
    shown = [*lines[:LINES_MAX], *([f"… and {left:,} more lines"] if left > 0 else [])]
    return to_wire(
        Refused(
            "\n".join(shown),
            code=DIFFERS,
            hint="mend the pipeline; or, where the new output is right, runi test --update",
        )
    )


def _result(golden: Golden, job: CompareJob, doors: Doors) -> GoldenResult | None:
    """Return what does not hold of a golden; nothing where it holds, or was written."""
    sink = next(sink for sink in job.sinks if sink.id == golden.sink)
    path = Path(job.project) / golden.path
    ignore = (*golden.ignore, *(OF_THE_RUN if sink.dead_letter else ()))
    actual = _output(sink, job, doors)
    try:
        if job.update:
            kept = [name for name in actual.schema.names if name not in ignore]
            write_golden(
                path,
                actual.select(kept),
                shown=golden.path,
                key=golden.key,
                is_ordered=golden.ordered,
            )
            return None
        expected = read_golden(path, shown=golden.path, like=actual.schema)
    except RuninkError as error:
        return GoldenResult(golden.path, golden.sink, error=to_wire(error))
    how = Comparison(golden.key, golden.tolerance, golden.relative, ignore, golden.ordered)
    found = compare(expected, actual, how)
    return GoldenResult(golden.path, golden.sink, found) if found else None


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
