"""From what a node raised to what a person is told: code, text, the step's own lines, the place in the source."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runink.dag import Function, Node, Step
from runink.errors import Broken, Refused, RuninkError, Unavailable, WireError, to_wire
from runink.jobs import Failed
from runink.steps.channels import Failure
from runink.steps.positions import position_of
from runink.tracebacks import described, import_hint, own_lines

SCRATCH: Final = "/tmp"  # noqa: S108 - the slice's own


def failed_by(
    failure: Failure,
    nodes: Sequence[Node],
    *,
    bundle: str,
    neighbours: tuple[type[BaseException], ...],
) -> Failed:
    """Return the report of a failure of one of the nodes, without the facts."""
    node = next((node for node in nodes if node.id == failure.node), None)
    error = failure.error
    if isinstance(error, neighbours):
        return Failed(_wire(error, failure.node), step=failure.node, consequence=True)
    lines = own_lines(error, Path(bundle)) if _shows_lines(error, node) else ()
    return Failed(
        _wire(_told(error, node, failure.node, Path(bundle)), failure.node),
        step=failure.node,
        traceback=lines,
        position=position_of(failure.batch, exact=failure.exact),
    )


def _shows_lines(error: BaseException, node: Node | None) -> bool:
    """Only a function has lines of its user's; an error that we raised about it has none, save for the import that caused it."""
    is_function = isinstance(node, Step) and isinstance(node.action, Function)
    return is_function and (not isinstance(error, RuninkError) or error.__cause__ is not None)


def _told(error: BaseException, node: Node | None, name: str, bundle: Path) -> RuninkError:
    if isinstance(error, RuninkError):
        return error
    if isinstance(error, MemoryError):
        return Unavailable(
            f"{name} ran out of memory",
            code="out_of_memory",
            hint='give its slice more: @requires(memory=1Gi), or take less at a time: each="batch" instead of "input"',
        )
    if isinstance(node, Step) and isinstance(error, OSError) and _is_of_scratch(error):
        return Refused(
            f"{name}: {SCRATCH} is full: {error.strerror}",
            code="scratch_full",
            hint=f"ask for more, as in @requires(disk=1Gi), which is memory of the slice; or write less to {SCRATCH}",
        )
    if isinstance(node, Step) and isinstance(node.action, Function):
        first_line = described(error).partition("\n")[0]
        text = f"step {node.action.name} ({node.action.file}) raised {first_line}"
        return Refused(text, code="step_raised", hint=import_hint(error, bundle))
    if isinstance(error, OSError):
        hint = "free some space; nothing was published" if error.errno == errno.ENOSPC else ""
        return Refused(f"{name}: {error}", code="io_failed", hint=hint)
    # Nobody foresaw this one, so its whole traceback goes to the slice's log.
    traceback.print_exception(error, file=sys.stderr)
    return Broken(f"{name}: {described(error)}", hint="this is a mistake of Runink's: report it")


def _is_of_scratch(error: OSError) -> bool:
    """Say whether a slice's own /tmp has no room: because the file is there, or because nothing of it is left."""
    if error.errno != errno.ENOSPC:
        return False
    try:
        own = Path(SCRATCH).stat().st_dev
        if own == Path("/").stat().st_dev:
            return False  # a plain process has the machine's
        if error.filename:
            return Path(os.fsdecode(error.filename)).absolute().parent.stat().st_dev == own
        left = os.statvfs(SCRATCH)
    except OSError:
        return False
    return not (left.f_bavail and left.f_favail)


def _wire(error: BaseException, name: str) -> WireError:
    if isinstance(error, RuninkError):
        return to_wire(error)
    return to_wire(Unavailable(f"{name}: {described(error)}", code="neighbour_failed"))
