"""What every slice does, done a few times by the fork server: every slice is a fork of that.

A function that Python runs for the first time looks up by its name whatever it uses, and each look writes to the name, which is then a page that the kernel copies.  After some ten calls
Python has put down in the function's code where it found things, and writes to none of them any more.  So a slice touches a fifth less of its fork server's memory, and
finds ready what is made once: plans for decoding, lists of a class's parents.

The job is two steps without input, one that gives a row and one that streams none.  No thread is started for them, what it adds to the path and to the modules is taken away again, and it writes to nobody.  Nothing depends on
how it ends: where it fails, slices take longer.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

from runink.actors import lifeline
from runink.dag import Each, Function, Step
from runink.documents import SliceContext, SliceDocument, encode_document
from runink.jobs import ChainJob, Done, Failed, Ticket
from runink.names import HerdName, RunId, SliceId
from runink.sandbox.gathered_code import codes_run, gather_code
from runink.steps import rehearsed
from runink.steps.channels import Bell
from runink.wire.blocking import BlockingChannel

TIMES: Final = 10  # Python 3.11 looks at a function anew from its eighth call on
_NAME: Final = "rehearsed"
_MOMENT_S: Final = 1e-6

Take = Callable[[bytes, BlockingChannel], Done | Failed]


def rehearse(take: Take, times: int = TIMES) -> Done | Failed:
    """Have `take` do the document's job and report once, and so many times more when its code lies together; return the last report. Raises OSError, RuninkError."""
    document, path = _document(), list(sys.path)
    control, other = (end.detach() for end in socket.socketpair())
    nobody = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        channel = BlockingChannel(nobody)
        said = open(nobody, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115 - of a descriptor, which is closed below

        def once() -> Done | Failed:
            try:
                with redirect_stdout(said):
                    report = take(document, channel)
                _wait_for_nothing()
                lifeline.rehearse(control)
                said.flush()
                channel.send(report)
                return report
            finally:
                sys.modules.pop(_NAME, None)
                sys.path[:] = path

        gather_code(codes_run(once))
        return [once() for _ in range(times)][-1]
    finally:
        for descriptor in (nobody, control, other):
            os.close(descriptor)


def _wait_for_nothing() -> None:
    """Wait as a slice does for its strands."""
    Bell().wait(_MOMENT_S)


def _document() -> bytes:
    folder = str(Path(rehearsed.__file__).parent)
    run, slice_ = RunId(_NAME), SliceId(_NAME)
    steps = tuple(
        Step(name, _NAME, Function(f"{_NAME}.py", name, each, takes_input=False))
        for name, each in (("gives_a_row", Each.BATCH), ("gives_no_row", Each.STREAM))
    )
    job = ChainJob(Ticket(run, slice_, 1), folder, folder, folder, steps, ())
    context = SliceContext(
        herd=HerdName(_NAME),
        pipeline=_NAME,
        run=run,
        slice=slice_,
        attempt=1,
        node=_NAME,
        traceparent=f"00-{1:032x}-{1:016x}-00",
    )
    return encode_document(SliceDocument(job=job, context=context))
