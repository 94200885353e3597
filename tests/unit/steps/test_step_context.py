"""What a step may know of its run: given by the slice, seen in every thread, refused outside."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import runink
from runink.documents import SliceContext, SliceSettings
from runink.errors import Refused
from runink.networks import Network
from runink.testing.contexts import running_as

PAGE = (Path(__file__).parents[3] / "docs/isolation.md").read_text()


def test_the_documented_step_is_told_what_the_page_says() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"__name__": "documented"}
    exec(compile(code, "docs/isolation.md", "exec", dont_inherit=True), names)
    with running_as(parameters={"day": "x"}) as given:
        assert names["stamped"]({"a": 1}) == {"a": 1, "day": "x", "run": given.run}


def test_the_page_names_all_that_a_step_is_told() -> None:
    table = PAGE.partition("| of `context()` |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+)`", table))
    assert named == {
        *SliceContext.__struct_fields__,
        *SliceSettings.__struct_fields__,
    }


def test_outside_of_a_slice_there_is_none() -> None:
    with pytest.raises(Refused) as caught:
        runink.context()
    assert caught.value.code == "no_context"
    assert "running_as" in caught.value.hint


def test_a_step_sees_what_its_slice_was_given_in_every_thread() -> None:
    with running_as(parameters={"day": "x"}, herd="ours") as given, ThreadPoolExecutor(1) as pool:
        assert pool.submit(runink.context).result() is given is runink.context()
        assert (given.parameters["day"], given.herd) == ("x", "ours")
        assert given.settings.network is Network.NONE
        with running_as() as inner:
            assert runink.context() is inner
        assert runink.context() is given
    with pytest.raises(Refused):
        runink.context()


def test_what_a_step_sees_holds_no_settings_of_stores() -> None:
    assert not {"stores", "keys", "s3"} & {*SliceContext.__struct_fields__}


def test_a_field_that_there_is_not_is_no_context() -> None:
    with pytest.raises(TypeError), running_as(day="x"):
        raise AssertionError("it cannot come so far")
