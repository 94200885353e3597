"""A slice's life, in its own process: takes its job, does it, tells the agent, ends.

    document      decoded from what the launch brought: its job, what its steps may know, how object stores are reached
    control       a frame for each `Progress`, one `Done` or `Failed` at the end
    SIGUSR1       the agent wants its room for others: its steps are told (`runink.context().stopping`), and it goes on, to its end if that comes within its grace
    SIGTERM       the agent wants it to end: the chain is cancelled, cleans up what it wrote aside, and says so
    the end of    nobody is left who would want the result (agent and spawner are gone): it is cancelled, and ends by force if that takes
    the control   longer than END_S (`lifeline.py`)

It is an actor that serves one message.  It is loaded once, by the fork server, and every slice is a fork of that: so nothing here may start a
thread, open a descriptor or touch an engine before `main` is called; what Arrow does with its first value is done before (`steps/primed.py`).  The process blocks (Arrow does), so there is no event loop in it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # private; the functions of signal itself look each number's name up
import sys
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final, assert_never

from runink.actors.doors import RealDoors
from runink.actors.lifeline import end_with
from runink.actors.rehearsal import rehearse
from runink.documents import SliceDocument, decode_document
from runink.errors import LinkLost, RuninkError, to_wire
from runink.jobs import ChainJob, CompareJob, Done, Failed, PublishJob
from runink.notice import NOTICE
from runink.own_token import OWN_TOKEN, Given
from runink.sandbox.first import let_in
from runink.sandbox.protocol import TOLD
from runink.steps.chain import Host, at_once, cancel_on_signals, nothing, run_chain, start_thread
from runink.steps.comparing import run_compare
from runink.steps.context import giving
from runink.steps.publish import run_publish
from runink.wire.blocking import BlockingChannel

if TYPE_CHECKING:
    from runink.steps.asking import Asking

REAPS: Final = (
    True  # for the fork server: this can be its cell's first process (`sandbox/first.py`)
)
EXIT_FAILED: Final = 1
_TOLD: Final = int(TOLD)
_ASKING: Final[dict[BlockingChannel, Asking]] = {}  # of this process: none or one


def main(document: bytes, control: int, descriptors: list[int]) -> int:
    """Do the document's job, report, and return the exit code: 0 if it was done. See `sandbox.birth` for who calls this."""
    cancel_on_signals()
    listen()
    orphans = let_in()
    channel = BlockingChannel(control)
    end_with(control)
    try:
        OWN_TOKEN.comes_by(partial(_asked, channel, control), monotonic)
        host = Host(start_thread, orphans.reap if orphans is not None else nothing)
        report = _report(document, channel, descriptors, host)
        channel.send(report)
    except LinkLost as error:
        print(f"this slice cannot report: {error.text}; {error.hint}", file=sys.stderr)  # noqa: T201 - its log is all that is left
        return EXIT_FAILED
    return 0 if isinstance(report, Done) else EXIT_FAILED


def _asked(channel: BlockingChannel, control: int, anew: bool) -> Given:  # noqa: FBT001 - as `OwnToken` asks
    """Ask the agent for a token: the first time and, rarely, again."""
    if channel not in _ASKING:
        from runink.steps.asking import Asking  # noqa: PLC0415 - most slices never ask

        _ASKING[channel] = Asking(channel, control)
    return _ASKING[channel].token(anew=anew)


def listen() -> None:
    """From now on have steps told when the signal for it comes. No call of a step's libraries fails of it: what the kernel has interrupted it begins again."""
    _signal.signal(_TOLD, _tell)
    _signal.siginterrupt(_TOLD, False)


def _tell(_number: int, _frame: object) -> None:
    NOTICE.come(monotonic)


def _report(
    data: bytes, channel: BlockingChannel, descriptors: list[int], host: Host
) -> Done | Failed:
    try:
        document = decode_document(data)
    except RuninkError as error:
        return Failed(to_wire(error))
    with giving(document.context):
        return _done(document, channel, descriptors, host)


def _done(
    document: SliceDocument, channel: BlockingChannel, descriptors: list[int], host: Host
) -> Done | Failed:
    job, doors = document.job, RealDoors(document.stores, document.masking_key.data)
    match job:
        case ChainJob():
            return run_chain(job, descriptors, channel.send, doors=doors, host=host)
        case PublishJob():
            return run_publish(job, doors=doors)
        case CompareJob():
            return run_compare(job, doors=doors)
        case _:
            assert_never(job)


def prepare_copies() -> None:
    """Do beforehand what every slice does (`rehearsal.py`): for a fork server, `birth.PREPARE`."""
    with suppress(OSError, RuninkError):  # a slice can do without
        rehearse(lambda document, channel: _report(document, channel, [], Host(at_once, nothing)))
