"""What slices do is done a few times before they are forked, and nothing of it is left."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from runink.actors.rehearsal import rehearse
from runink.jobs import Done, Failed
from runink.wire.blocking import BlockingChannel

SEEN: Final = """
import os, signal, sys
path, handlers = list(sys.path), [signal.getsignal(one) for one in signal.valid_signals()]
import pyarrow
threads, descriptors = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
import runink.actors.slice as slices
from runink.actors.rehearsal import rehearse
from runink.steps.chain import Host, at_once, nothing
report = rehearse(lambda document, channel: slices._report(document, channel, [], Host(at_once, nothing)), 1)
print(type(report).__name__, report.schemas)
print(path == sys.path, "rehearsed" in sys.modules, handlers == [signal.getsignal(one) for one in signal.valid_signals()])
from runink.sandbox.birth import keep_environment
keep_environment(is_isolated=False)
print([name for name in os.environ if "POLARS" in name])
print(len(os.listdir("/proc/self/task")) - threads, len(os.listdir("/proc/self/fd")) - descriptors)
"""


def test_a_slice_does_its_rehearsal_to_the_end_and_leaves_nothing_behind() -> None:
    words = [sys.executable, "-c", SEEN]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "Done {'gives_a_row': (('n', 'int64'),)}",
        "True False True",
        "[]",  # Polars, imported for a run's slices, would be held to one thread in all of them
        "0 0",
    ]


def test_a_rehearsal_is_done_as_often_as_asked_and_returns_the_last_report() -> None:
    reports: list[Done] = []

    def take(document: bytes, channel: BlockingChannel) -> Done | Failed:
        assert b"gives_a_row" in document
        reports.append(Done())
        return reports[-1]

    assert rehearse(take, 3) is reports[3]
    assert len(reports) == 4, "and once to see what is run"
