"""The trace of a run: it follows from its ids, and is what W3C calls one."""

from __future__ import annotations

import re

from runink.names import RunId, SliceId
from runink.runs.traces import span_of

RUN = RunId("01KAXXG2V8QN00000000000000")


def test_a_run_is_one_trace_and_each_attempt_of_a_slice_a_span_of_it() -> None:
    spans = [span_of(RUN, SliceId(name), attempt) for name in ("a", "b") for attempt in (1, 2)]
    assert len({span.trace_id for span in spans}) == 1
    assert len({span.span_id for span in spans}) == 4
    other = span_of(RunId("01KAXXG2V8QN00000000000001"), SliceId("a"), 1)
    assert other.trace_id != spans[0].trace_id
    assert other.span_id != spans[0].span_id


def test_the_same_attempt_has_the_same_span_wherever_it_is_asked_for() -> None:
    assert span_of(RUN, SliceId("a"), 1).traceparent == (
        "00-8b044661ec5720fd15f32a4887effc44-4cd1bae7ce036748-03"
    )


def test_a_traceparent_is_of_the_form_that_w3c_gives_it() -> None:
    form = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
    for name in ("a", "silver.join", "@publish"):
        assert form.fullmatch(span_of(RUN, SliceId(name), 1).traceparent)
