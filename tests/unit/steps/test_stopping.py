"""What a step knows of that its slice is to give way: nothing at first, then for how long it goes on."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from runink.actors.slice import listen
from runink.documents import SliceSettings
from runink.notice import NOTICE, Notice
from runink.sandbox.protocol import TOLD
from runink.testing.contexts import running_as, told_to_stop

PAGE = (Path(__file__).parents[3] / "docs/running.md").read_text()
GRACE = SliceSettings(grace_ms=10_000)


@pytest.fixture
def listening() -> Iterator[None]:
    before = signal.getsignal(TOLD)
    listen()
    yield
    signal.signal(TOLD, before)
    NOTICE.forget()


def test_a_step_that_was_not_told_has_no_end_before_it() -> None:
    with running_as(settings=GRACE) as known:
        assert not known.stopping
        assert known.stopping_in_s is None
        assert not known.wait_stopping(within_s=0)


def test_a_step_that_is_told_sees_how_much_of_its_grace_is_left() -> None:
    now_s = 100.0
    with running_as(settings=GRACE) as known, told_to_stop(lambda: now_s):
        assert known.stopping
        assert known.stopping_in_s == 10.0
        now_s = 106.5
        assert known.stopping_in_s == 3.5
        now_s = 200.0
        assert known.stopping_in_s == 0.0
    assert not known.stopping


def test_who_is_told_twice_has_no_more_of_it() -> None:
    notice = Notice()
    notice.come(lambda: 1.0)
    notice.come(lambda: 9.0)
    assert notice.left_s(5.0) == 5.0, "by the first clock, which stands"
    assert notice.wait(0)
    assert notice.wait(0), "and whoever asks later is let go on as well"


def test_the_signal_lets_go_on_whoever_waits_in_any_thread(listening: None) -> None:
    with running_as(settings=GRACE) as known, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(known.wait_stopping, within_s=60) for _ in range(2)]
        signal.raise_signal(TOLD)
        assert [one.result() for one in waiting] == [True, True]
        left_s = known.stopping_in_s
        assert left_s is not None
        assert 0 < left_s <= 10


def test_the_documented_step_gives_up_when_it_is_told_and_ends_whole_when_not() -> None:
    part = PAGE.partition("### A step that is told")[2]
    [code] = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    names: dict[str, Any] = {"__name__": "documented"}
    exec(compile(code, "docs/running.md", "exec", dont_inherit=True), names)
    with running_as(settings=GRACE):
        assert list(names["slow"](iter([1, 2]))) == [1, 2]
        with told_to_stop(), pytest.raises(InterruptedError):
            list(names["slow"](iter([1, 2])))
