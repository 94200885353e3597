"""What a run came to, as text for people and as one document for programs. Pure: a `RunView` and its pipeline in, lines or values out."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from itertools import pairwise, takewhile
from typing import Final

import msgspec

from runink.checkpoints import joined
from runink.cli.wording import harmless
from runink.clients.run_documents import error_document, seconds_of
from runink.clients.run_requests import RunView
from runink.dag import Check, Dag, Node, Sink, Source, Step
from runink.governance.lineage import label_of
from runink.jobs import Prepared
from runink.operations.catalog.runs import Failure as ToldFailure
from runink.quantities import counted, format_bytes
from runink.runs.figures import Figures
from runink.runs.limits import slowed_down, waited_for_cpu
from runink.runs.records import Failure, RunRecord, RunState

SHORT_ID: Final = 12  # characters of a run's id: its millisecond and ten random bits
REASONS_SHOWN_MAX: Final = 6
WIDTH: Final = 140  # where nobody says how wide the terminal is: the widest line of an ordinary run
WIDTH_HEAD: Final = 100
LABEL_MIN: Final = 34


def short(run: str) -> str:
    """Return as much of a run's id as people need to name it."""
    return run[:SHORT_ID]


def told_apart(runs: Iterable[str]) -> dict[str, str]:
    """Return for each run as much of its id as names it among these: those of one tick have the same beginning."""
    ordered = sorted(runs)
    cuts = dict.fromkeys(ordered, SHORT_ID)
    for one, following in pairwise(ordered):
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(one, following, strict=True))
        cut = len(tuple(alike)) + 1
        cuts[one], cuts[following] = max(cuts[one], cut), max(cuts[following], cut)
    return {run: run[:cut] for run, cut in cuts.items()}


def flow_of(dag: Dag, scenario: str) -> str:
    """Return a scenario's way in a few words: `csv → Flight → parquet`."""
    words: list[str] = []
    for node in (node for node in joined(dag).nodes if node.scenario == scenario):
        word = _word(node)
        if word and (not words or words[-1] != word):
            words.append(word)
    return " → ".join(words)


def _word(node: Node) -> str:
    match node:
        case Source(alias="", staged_from=""):
            return node.format.value
        case Check():
            return node.contract.name
        case Step():
            return label_of(node)
        case Sink(dead_letter=False):
            return node.format.value
        case _:
            return ""


def summary(view: RunView, dag: Dag, *, width: int = WIDTH) -> list[str]:
    """Return the lines that stand at the end of a run. `width` is that of the terminal: what is longer is folded where it can be."""
    record = view.record
    lines = [
        *_head(record, width),
        *_steps(view, dag, width),
        *_rejections(view.figures, width),
        *_drifts(view.figures, width),
    ]
    lines += [
        f"  slice {one.slice} was at attempt {one.attempt}, because {harmless(one.tries.why)}"
        for one in view.slices
        if one.tries.why
    ]
    if record.resumes is not None:
        taken = sum(one.taken_from is not None for one in view.slices)
        lines.append(
            f"  it went on from run {short(record.resumes)}: {counted(taken, 'slice')} of it {'was' if taken == 1 else 'were'} not done again"
        )
    if record.state is RunState.SUCCEEDED:
        lines += _outputs(record, dag, width)
        told = (waited_for_cpu, slowed_down)
        waits = ((one.slice, say(one)) for one in view.slices for say in told)
        lines += [f"  slice {name} {waited}" for name, waited in waits if waited]
    if record.state is RunState.CANCELLED:
        lines += ["  nothing was published"]
    elif record.failure is not None:
        lines += failure_lines(record.failure)
    return [*lines, *_next(record, dag, width)]


def _head(record: RunRecord, width: int) -> list[str]:
    left = f"{record.pipeline} · herd {record.herd} · run {short(record.run)}"
    right = f"{record.state.value} in {seconds_of(record):.1f} s"
    room = min(width, WIDTH_HEAD) - len(left)
    if room >= len(right) + 2:
        return [f"{left}{right.rjust(room)}"]
    return [left, f"  {right}"]


def _steps(view: RunView, dag: Dag, width: int) -> list[str]:
    """Say what each scenario did: a line each, or where that is too long for the terminal two."""
    is_cut = view.record.state is not RunState.SUCCEEDED
    flows = {scenario.id: flow_of(dag, scenario.id) for scenario in dag.scenarios}
    names = max((len(name) for name in flows), default=0)
    flow_width = max([LABEL_MIN, *map(len, flows.values())])
    wide: list[str] = []
    narrow: list[str] = []
    for row in view.figures:
        flow = flows[row.name]
        if is_cut and not row.rows_in and not row.seconds:
            figures = [f"{'not begun':>15}"]
        else:
            figures = _figures(row)
        wide.append(f"  {row.name:<{names}}  {flow:<{flow_width}}{''.join(figures)}".rstrip())
        narrow.append(f"  {row.name}  {flow}")
        narrow.append("    " + " · ".join(part.strip() for part in figures if part.strip()))
    return wide if all(len(line) <= width for line in wide) else narrow


def _figures(row: Figures) -> list[str]:
    return [
        f"{row.rows_in:>12,} in",
        f"{row.rows_out:>12,} out",
        f"{row.rejected:>10,} rejected" if row.rejected else " " * 19,
        f"{row.seconds:>8.1f} s",
        _rate(row),
    ]


def _rate(row: Figures) -> str:
    rows_s = row.rows_in / row.seconds if row.seconds else 0.0
    if rows_s < 1000:
        return ""
    return f"   {rows_s / 1e6:.1f}M rows/s" if rows_s >= 1e6 else f"   {rows_s / 1e3:.0f}k rows/s"


def _rejections(figures: Iterable[Figures], width: int) -> Iterator[str]:
    for row in figures:
        if not row.rejected:
            continue
        reasons = sorted(row.reasons, key=lambda reason: -reason.rows)
        texts = [
            f"{harmless(reason.text)} {reason.rows:,}" for reason in reasons[:REASONS_SHOWN_MAX]
        ]
        more = len(reasons) - len(texts)
        if more:
            texts.append(counted(more, "more reason"))
        yield from _joined(f"  {row.rejected:,} rejected: ", texts, width)


def _drifts(figures: Iterable[Figures], width: int) -> Iterator[str]:
    """Say how the input's shape leaves its contracts, what most rows came in first."""
    for row in figures:
        drifts = sorted(
            (one for one in row.drifts if not one.is_allowed), key=lambda one: -one.rows
        )
        if not drifts:
            continue
        texts = [
            f"{harmless(one.text)} ({harmless(one.origin)})" for one in drifts[:REASONS_SHOWN_MAX]
        ]
        more = len(drifts) - len(texts)
        if more:
            texts.append(f"{more} more")
        yield from _joined(f"  drift in {row.name}: ", texts, width)


def _outputs(record: RunRecord, dag: Dag, width: int) -> Iterator[str]:
    paths = [path_of(one) for one in record.prepared]
    longest = max((len(path) + 2 for path in paths), default=0)
    column = max(LABEL_MIN + 8, longest) if width >= WIDTH_HEAD else longest
    dead = {node.id for node in dag.nodes if isinstance(node, Sink) and node.dead_letter}
    for one in sorted(record.prepared, key=lambda one: one.sink in dead):
        line = f"  {path_of(one):<{column}}{counted(one.rows, 'row')}"
        if one.sink not in dead:
            yield f"{line}, {format_bytes(one.bytes)}"
        elif one.rows:
            yield from _joined(
                line + "    ", [f"look at them: runi dead show {short(record.run)}"], width
            )
        else:
            yield line


def _joined(head: str, texts: Iterable[str], width: int) -> Iterator[str]:
    """Yield texts behind a head, with dots between, as many a line as fit."""
    line, is_first = head, True
    for text in texts:
        piece = text if is_first else f" · {text}"
        if len(line) + len(piece) > width and line.strip():
            yield line.rstrip()
            line, piece = "    ", text
        line += piece
        is_first = False
    yield line.rstrip()


def path_of(prepared: Prepared) -> str:
    """Return an output's path as it stands in the pipeline."""
    _, _, path = prepared.uri.partition("://")
    return path or prepared.uri


def failure_lines(failure: Failure) -> list[str]:
    """Say why a run failed: the error, where, the step's own lines, the slice's last words. Much of it is a step's: nothing of it moves a terminal's cursor."""
    told = error_document(failure)
    assert told is not None
    return error_lines(msgspec.convert(told, ToldFailure))


def error_lines(failure: ToldFailure) -> list[str]:
    """Say the same by what the API tells of it."""
    return [harmless(line) for line in _error_lines(failure)]


def _error_lines(failure: ToldFailure) -> list[str]:
    lines = ["", *_indented(f"error[{failure.code}]: {failure.text}")]
    if failure.position:
        lines.append(f"    at {failure.position}")
    if "\n" not in failure.text:  # one that has several lines holds these, too
        lines += [f"    {line}" for line in failure.traceback]
    lines += [f"    {line}" for line in failure.limits if line not in failure.text]
    if failure.hint:
        lines.append(f"  help: {failure.hint}")
    if failure.log_tail and not failure.traceback:
        lines.append(f"  last lines of {failure.slice}:")
        lines += [f"    {line}" for line in failure.log_tail]
    return [*lines, ""]


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _next(record: RunRecord, dag: Dag, width: int) -> Iterator[str]:
    run = short(record.run)
    ways = [f"runi lineage {run}", f"runi explain {shlex.quote(dag.file)}", f"runi logs {run}"]
    if record.state is not RunState.SUCCEEDED:
        ways = [f"runi logs {run}", f"runi lineage {run}"]
    if record.kept:
        ways.append(f"runi resume {run}")
    return _joined("next: ", ways, width)
