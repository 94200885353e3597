"""Which of a run's failures is the one to tell, and which may pass if they are tried again."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from typing import Final

from runink.dag import Limit
from runink.errors import Refused, Unavailable, WireError, from_wire
from runink.jobs import Failed
from runink.quantities import format_duration, format_seconds
from runink.runs.attempts import Fault
from runink.runs.limits import OUT_OF_MEMORY, limits_met, memory_met
from runink.runs.records import Exit, Failure, SliceRecord, SliceState

LASTING: Final = frozenset(
    {"disk_full", "cancelled", "timed_out"}
)  # not the fault of a moment: trying again would meet it again
OWN: Final = frozenset(
    {"step_raised", "command_failed", "slice_exit", "slice_killed", "wall_time"}
)  # what steps do by themselves: it may go well the next time, and who wrote them knows

MORE_MEMORY: Final = "ask for more, as in @requires(memory=1Gi), or take less at a time: a batch, not the whole input"
CUT: Final = WireError(
    "Unavailable",
    "cut",
    "the process that ran it was ended before it was done; nothing of it was published",
    "run it again",
)
CANCELLED: Final = WireError("Refused", "cancelled", "cancelled", "")
REPLACED: Final = WireError(
    "Refused", "replaced", "the next run of its schedule has taken its place", ""
)
LATE: Final = WireError(
    "Refused",
    "deadline",
    "it had not ended by its deadline",
    "allow it more in @schedule(…, deadline=…), or see with runi slice list what took so long",
)


def too_late(deadline: Limit) -> WireError:
    """Say that a run had not ended in the time that its pipeline allows."""
    after = format_duration(deadline.amount)
    text = f"it had not ended {after} after it was submitted, limit from @timeout in line {deadline.line}"
    return WireError(
        "Refused",
        "deadline",
        text,
        "allow it more there, or see with runi slice list what took so long",
    )


def may_pass(record: SliceRecord) -> bool:
    """Say whether the slice's end, if it has ended, was no fault of its own and may go well elsewhere or later."""
    if not record.state.is_over or record.state is SliceState.SUCCEEDED:
        return True
    if record.state is SliceState.FAILED and _is_out_of_time(record):
        return False
    if record.state in (SliceState.LOST, SliceState.CANCELLED):
        return True
    if not isinstance(record.report, Failed):
        return False
    error = record.report.error
    if error.code == OUT_OF_MEMORY and record.limits.memory is not None:
        return False  # there would be no more of it the next time
    return record.report.consequence or (
        isinstance(from_wire(error), Unavailable) and error.code not in LASTING
    )


def is_own(record: SliceRecord) -> bool:
    """Say whether a step failed by itself, in a way that its `@retry` decides about."""
    if record.state is not SliceState.FAILED:
        return False
    report = record.report
    is_consequence = isinstance(report, Failed) and report.consequence
    if is_consequence and not _is_out_of_time(record):
        return False
    return _told(record).error.code in OWN


def fault_of(record: SliceRecord) -> Fault:
    """Say how a slice's attempt ended badly on its node, if it did: not what was stopped there, or failed because another slice of its gang did."""
    if record.state is SliceState.LOST:
        return Fault.LOST
    is_failed = record.state is SliceState.FAILED and _weight(record) <= _BY_ITSELF
    return Fault.FAILED if is_failed else Fault.NONE


def is_refusal(record: SliceRecord) -> bool:
    """Say whether a publish slice was refused before anything of it became visible. One that was told to end was not: it may be the second that publishes, and would not be told so again."""
    report = record.report
    return (
        isinstance(report, Failed)
        and isinstance(from_wire(report.error), Refused)
        and report.error.code != CANCELLED.code
        and not report.prepared
    )


def failure_of(records: Iterable[SliceRecord]) -> Failure | None:
    """Return the failure that caused the others: the first by itself or out of its time, else a killed or lost slice, else whatever there is."""
    bad = [
        record
        for record in records
        if record.state.is_over and record.state is not SliceState.SUCCEEDED
    ]
    if not bad:
        return None
    return _told(cause_of(bad))


def cause_of(bad: Sequence[SliceRecord]) -> SliceRecord:
    """Return the one, of slices that have not ended well, that caused the others' end."""
    return min(bad, key=lambda record: (_weight(record), record.ended_ms, record.slice))


_BY_ITSELF: Final = 1  # the most that a failure weighs that is no consequence of another


def _weight(record: SliceRecord) -> int:
    report = record.report
    if record.state is SliceState.CANCELLED:
        return 4
    if _is_out_of_time(record):
        return 0
    if isinstance(report, Failed):
        if report.error.code == "cancelled":
            return 3
        return 2 if report.consequence else 0
    return 1


def _told(record: SliceRecord) -> Failure:
    report = record.report
    if isinstance(report, Failed) and not _is_out_of_time(record):
        return Failure(
            report.error,
            slice=record.slice,
            step=report.step,
            traceback=report.traceback,
            position=report.position,
            log_tail=record.log_tail,
            limits=limits_met(record),
            goldens=report.goldens,
        )
    return Failure(
        _exit_error(record),
        slice=record.slice,
        log_tail=record.log_tail,
        limits=limits_met(record),
    )


def _is_out_of_time(record: SliceRecord) -> bool:
    """Say whether a slice was told to end because it ran for too long: what it reported on its way out is a consequence of that."""
    return record.exit is not None and record.exit.cause == "timeout"


def _exit_error(record: SliceRecord) -> WireError:
    """Say how a slice ended that did not report, or was out of its time."""
    name = f"slice {record.slice}"
    if record.state is SliceState.LOST:
        text = f"{name} was lost with its node {record.node or '(none)'}"
        if record.exit is not None:
            text = f"{name} ended while the agent of its node was started anew: what it reported was lost"
        return WireError("Unavailable", "slice_lost", text, "run it again")
    found = record.exit
    if found is None or record.state is SliceState.CANCELLED:
        return WireError("Refused", "cancelled", f"{name} was stopped", "")
    match found.cause:
        case "timeout":
            return _out_of_time(record, found)
        case "oom":
            text = f"{name} ran out of memory and was ended, with all that it had started: it {memory_met(record)}"
            return WireError("Refused", OUT_OF_MEMORY, text, MORE_MEMORY)
        case "unborn":
            return WireError(
                "Unavailable", "launch_failed", f"{name} could not be started", "see the node's log"
            )
    if found.signal:
        hint = _SIGNAL_HINTS.get(found.signal, "")
        by = signal.Signals(found.signal).name if found.signal in _SIGNALS else str(found.signal)
        text = f"{name} was killed by signal {found.signal} ({by})"
        return WireError("Broken", "slice_killed", text, hint)
    text = f"{name} ended with exit code {found.code} and without a report"
    hint = "a step must not end its process (os._exit); its last lines are in runi logs"
    return WireError("Broken", "slice_exit", text, hint)


def _out_of_time(record: SliceRecord, found: Exit) -> WireError:
    text = (
        f"slice {record.slice} timed out after {format_seconds(found.wall_time_s or found.wall_s)}"
    )
    limit = record.limits.wall_time
    if limit is not None and found.wall_time_s == limit.amount / 1000:
        text = f"{text}, limit from @timeout in line {limit.line}"
        return WireError("Refused", "wall_time", text, "allow it more there")
    return WireError("Refused", "wall_time", text, "allow it more with --timeout")


_SIGNAL_HINTS: Final = {
    int(signal.SIGKILL): "somebody has killed it, or the machine had no memory left",
    int(signal.SIGSEGV): "code that is not Python's own crashed: a library that a step uses",
}
_SIGNALS: Final = {int(number) for number in signal.Signals}
