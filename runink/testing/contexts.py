"""What a step is told about its run, for tests of steps that ask for it.

with running_as(parameters={"day": "2013-07-04"}):
assert stamped({"a": 1})["day"] == "2013-07-04"
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from msgspec.structs import replace as changed

from runink.documents import SliceContext
from runink.names import HerdName, RunId, SliceId
from runink.notice import NOTICE, Clock
from runink.own_token import OWN_TOKEN, Given
from runink.runs.traces import span_of
from runink.steps.context import giving

RUN = RunId("00000000000000000000000001")
SLICE = SliceId("one")
SOME = SliceContext(
    herd=HerdName("default"),
    pipeline="tested",
    run=RUN,
    slice=SLICE,
    attempt=1,
    node="local",
    traceparent=span_of(RUN, SLICE, 1).traceparent,
)


@contextmanager
def running_as(**told: Any) -> Iterator[SliceContext]:
    """Have `runink.context()` answer with these fields, and with some run where none is given. Raises TypeError for a field that there is not."""
    given = changed(SOME, **told)
    with giving(given):
        yield given


@contextmanager
def told_to_stop(clock: Clock = monotonic) -> Iterator[None]:
    """Have `context().stopping` be true from here to the block's end, and the grace run by this clock."""
    NOTICE.come(clock)
    try:
        yield
    finally:
        NOTICE.forget()


@contextmanager
def with_token(text: str) -> Iterator[None]:
    """Have `context().token()` return this for as long as the block."""
    OWN_TOKEN.comes_by(lambda _: Given(text, float("inf")), monotonic)
    try:
        yield
    finally:
        OWN_TOKEN.forget()
