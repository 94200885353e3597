"""The other job of a slice: make prepared output visible, or take it away.

Both may be done again after a crash, by another slice: publishing what is published and discarding what is gone change nothing.
"""

from __future__ import annotations

from pathlib import Path

from runink.dag import Sink
from runink.steps.channels import Failure
from runink.steps.doors import Doors
from runink.steps.failures import failed_by
from runink.steps.job import Done, Failed, PublishJob


def run_publish(job: PublishJob, *, doors: Doors) -> Done | Failed:
    """Publish what is prepared, or discard it with what killed slices left aside. Returns Failed at the first that will not."""
    node = ""
    try:
        for prepared in job.prepared:
            node = prepared.sink
            if job.discard:
                doors.discard(prepared)
            else:
                doors.publish(prepared)
        for sink in job.sinks if job.discard else ():
            assert isinstance(sink, Sink), "only sinks leave something aside"
            node = sink.id
            for ticket in job.tickets:
                doors.leftovers(sink, root=Path(job.project), ticket=ticket)
    except Exception as error:  # noqa: BLE001 - a disk, a network, a library: it is told, and tried again
        failure = Failure(node, error, None, exact=False)
        return failed_by(failure, job.sinks, bundle="", neighbours=doors.neighbour_failures)
    return Done(prepared=() if job.discard else job.prepared)
