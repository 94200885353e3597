"""The end of a run, as a slice's job: make prepared output visible, take other output away, clear what killed slices left.

    publish     in the order given; the first that will not ends the job, and nothing is taken away
    discard     prepared output that will never be visible
    leftovers   for each sink and ticket, what a slice wrote aside and never reported

All of it may be done again after a crash, by another slice: publishing what is published and taking away what is gone change nothing.
Clearing goes on past what will not go, and tells the first: one file that may not be removed must not keep the others.

A failed report's `prepared` is what is visible by then.  The run controller takes a report for a refusal, and fails the run whole, only
where that is empty and the error is Refused; so Refused is said only where it is sure that nothing happened (`_NOT_DONE`), and everything
else is OutcomeUnknown: it is tried again, and rolled forward.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from runink.errors import OutcomeUnknown, RuninkError
from runink.jobs import Done, Failed, Prepared, PublishJob
from runink.steps.chain import Cancelled
from runink.steps.channels import Failure
from runink.steps.doors import Doors
from runink.steps.failures import failed_by
from runink.tracebacks import described

_NOT_DONE: Final = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.ENOTEMPTY,
        errno.EPERM,
        errno.EROFS,
        errno.EXDEV,
    }
)  # what a rename or an open says before it has changed anything


def run_publish(job: PublishJob, *, doors: Doors) -> Done | Failed:
    """Publish, then discard, then clear. Returns Failed with what is visible by then; a signal's Cancelled is told, too."""
    visible: list[Prepared] = []
    node = ""
    try:
        for prepared in job.publish:
            node = prepared.sink
            doors.publish(prepared)
            visible.append(prepared)
        cleared = _cleared(job, doors)
    except (Cancelled, KeyboardInterrupt) as interrupt:
        return _failed(node, _interrupted(interrupt), visible)
    except Exception as error:  # noqa: BLE001 - a disk, a network, a library: it is told, and tried again
        return _failed(node, _told(error, node), visible)
    if cleared is not None:
        return _failed(cleared.node, cleared.error, visible)
    return Done(prepared=job.publish)


def _cleared(job: PublishJob, doors: Doors) -> Failure | None:
    """Take away what shall go, all of it that will, and return the first failure."""
    first: Failure | None = None
    for node, take_away in _removals(job, doors):
        try:
            take_away()
        except Exception as error:  # noqa: BLE001 - a disk, a network, a library: the others go all the same
            first = first or Failure(node, error, None, exact=False)
    return first


def _removals(job: PublishJob, doors: Doors) -> Iterator[tuple[str, Callable[[], None]]]:
    for prepared in job.discard:
        yield prepared.sink, partial(doors.discard, prepared)
    for sink in job.sinks:
        for ticket in job.tickets:
            yield sink.id, partial(doors.leftovers, sink, root=Path(job.project), ticket=ticket)


def _failed(node: str, error: BaseException, visible: list[Prepared]) -> Failed:
    failure = Failure(node, error, None, exact=False)
    bare = failed_by(failure, (), bundle="", neighbours=())
    return Failed(bare.error, step=node, prepared=tuple(visible))


def _told(error: Exception, node: str) -> Exception:
    """Return the error, or the word that its outcome is unknown where it may have happened."""
    if isinstance(error, RuninkError) or (isinstance(error, OSError) and error.errno in _NOT_DONE):
        return error
    return OutcomeUnknown(f"{node}: {described(error)}", code="publish_failed")


def _interrupted(interrupt: BaseException) -> OutcomeUnknown:
    by = str(interrupt) or "an interrupt"
    return OutcomeUnknown(f"publishing was interrupted by {by}", code="cancelled")
