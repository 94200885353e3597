"""Runs and slices as programs read them: the documents of `runi … -o json` and of the HTTP API. Their keys are a promise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from runink.clients.run_requests import RunView, Used
from runink.jobs import Drifted, Failed, Prepared
from runink.runs.figures import Figures
from runink.runs.limits import limits_met
from runink.runs.records import Failure, RunRecord, RunState, SliceRecord
from runink.runs.traces import Span, span_of

Document = dict[str, Any]


def seconds_of(record: RunRecord) -> float:
    """Return how long the run took, from its submission to its end."""
    return max(record.ended_ms - record.submitted_ms, 0) / 1000


def row_of(record: RunRecord) -> Document:
    """Return a run of a list."""
    return {
        "run": record.run,
        "pipeline": record.pipeline,
        "herd": record.herd,
        "file": record.file,
        "state": record.state.value,
        "submitted_ms": record.submitted_ms,
        "seconds": round(seconds_of(record), 3),
        "tick_ms": record.occasion.tick_ms if record.occasion else None,
        "waits_for": record.waits_for,
        "paused": record.paused,
        "error": record.failure.error.code if record.failure else None,
        "resumes": record.resumes,
        "restarted": record.restarted,
        "resumed_by": record.resumed_by,
        "kept_until_ms": record.kept_until_ms if record.kept and not record.resumed_by else None,
    }


def run_document(view: RunView) -> Document:
    """Return a run that has ended, or stands somewhere, with what its parts did."""
    record = view.record
    return {
        "run": record.run,
        "pipeline": record.pipeline,
        "herd": record.herd,
        "state": record.state.value,
        "seconds": round(seconds_of(record), 3),
        "isolation": isolation_of(view.slices),
        "steps": [figures_document(row) for row in view.figures],
        "outputs": outputs_of(record),
        "slices": [
            {
                "name": one.slice,
                "state": one.state.value,
                "attempt": one.attempt,
                "node": one.node,
                "pid": one.pid,
                "cpu_seconds": round(one.exit.cpu_s, 3) if one.exit else 0.0,
                "memory_bytes_max": one.exit.memory_bytes_max if one.exit else 0,
                "voluntary_switches": one.exit.voluntary_switches if one.exit else None,
                "involuntary_switches": one.exit.involuntary_switches if one.exit else None,
                "isolation": one.sealed.get("isolation"),
                "taken_from": one.taken_from,
            }
            for one in view.slices
        ],
        "error": error_document(record.failure),
        "resumes": record.resumes,
        "kept_until_ms": record.kept_until_ms or None,
    }


def figures_document(row: Figures) -> Document:
    """Return what a scenario did."""
    return {
        "name": row.name,
        "rows_in": row.rows_in,
        "rows_out": row.rows_out,
        "rejected": row.rejected,
        "seconds": round(row.seconds, 3),
        "drifts": [drift_document(one) for one in row.drifts],
    }


def isolation_of(slices: Iterable[SliceRecord]) -> str | None:
    """Return how far the run's slices were closed off, of the least that one had: `none` before all else. Nothing if no slice has begun."""
    found = {one.sealed["isolation"] for one in slices if "isolation" in one.sealed}
    return "none" if "none" in found else min(found, default=None, key=lambda said: said == "full")


def drift_document(one: Drifted) -> Document:
    """Return a departure from a contract's shape."""
    return {
        "check": one.node,
        "column": one.column,
        "departure": one.departure,
        "text": one.text,
        "rows": one.rows,
        "origin": one.origin,
        "leaves_contract": not one.is_allowed,
    }


def outputs_of(record: RunRecord) -> list[Document]:
    """Return what a run has published: nothing, unless it has succeeded."""
    if record.state is not RunState.SUCCEEDED:
        return []
    return [_output(one) for one in record.prepared]


def _output(prepared: Prepared) -> Document:
    return {
        "uri": prepared.uri,
        "rows": prepared.rows,
        "bytes": prepared.bytes,
        "sha256": prepared.sha256,
    }


def error_document(failure: Failure | None) -> Document | None:
    """Return a failure as part of a document, or nothing."""
    if failure is None:
        return None
    return {
        "code": failure.error.code,
        "text": failure.error.text,
        "hint": failure.error.hint,
        "slice": failure.slice,
        "step": failure.step,
        "position": failure.position,
        "traceback": list(failure.traceback),
        "log_tail": list(failure.log_tail),
        "limits": list(failure.limits),
    }


def slice_document(record: SliceRecord, used: Used | None = None) -> Document:
    """Return a slice, and what it uses where that is known of one that runs."""
    found = msgspec.structs.asdict(record.exit) if record.exit is not None else None
    report = record.report
    return {
        "slice": record.slice,
        "run": record.run,
        "herd": record.herd,
        "task": record.task.value,
        "state": record.state.value,
        "attempt": record.attempt,
        "not_before_ms": record.not_before_ms,
        "tries": msgspec.structs.asdict(record.tries),
        "earlier": [
            {"attempt": one.attempt, "node": one.node, "fault": one.fault.value}
            for one in record.earlier
        ],
        **slice_span(record)._asdict(),
        "node": record.node,
        "pid": record.pid,
        "launched_ms": record.launched_ms,
        "ended_ms": record.ended_ms,
        "resources": msgspec.to_builtins(record.resources),
        "limits": {
            name: None if limit is None else msgspec.to_builtins(limit)
            for name, limit in msgspec.structs.asdict(record.limits).items()
        },
        "herd_limits": msgspec.structs.asdict(record.herd_limits),
        "limits_met": list(limits_met(record)),
        "sealed": record.sealed,
        "shown": record.shown,
        "exit": found,
        "used": None if used is None else msgspec.structs.asdict(used),
        "printed": msgspec.structs.asdict(record.printed),
        "error": report.error.code if isinstance(report, Failed) else None,
    }


def slice_span(record: SliceRecord) -> Span:
    """Return where a slice's latest attempt stands in traces."""
    return span_of(record.run, record.slice, record.attempt)
