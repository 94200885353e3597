"""What is registered to be done after a fork, and what of it a copy cannot do without."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType

import pytest
from runink.sandbox.namespaces import Handlers, Needed, forking

EXIT_CODE = 7


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Handlers]:
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)  # nothing of a test stays
    yield Handlers()
    monkeypatch.undo()


def own() -> None:
    """Be something to register."""


def module(name: str, ending: str) -> dict[str, ModuleType]:
    made = ModuleType(name)
    made.__file__ = f"/x/{name}{ending}"
    return {name: made}


def test_nothing_is_needed_of_what_the_standard_library_registers(handlers: Handlers) -> None:
    assert handlers.needed({}) is Needed.NOTHING
    for name in ("threading", "logging", "random", "concurrent.futures.thread"):
        one = lambda: None  # noqa: E731 - its module is set
        one.__module__ = name
        os.register_at_fork(after_in_child=one)
    assert handlers.needed({"sys": sys}) is Needed.NOTHING


@pytest.mark.parametrize("when", ["before", "after_in_child", "after_in_parent"])
def test_anything_else_is_needed(handlers: Handlers, when: str) -> None:
    os.register_at_fork(**{when: own})
    assert handlers.needed({}) is Needed.EVERYTHING
    assert handlers.names == {__name__}


@pytest.mark.parametrize("ending", EXTENSION_SUFFIXES)
def test_what_a_compiled_library_may_have_registered_is_needed_but_for_those_that_are_known(
    handlers: Handlers, ending: str
) -> None:
    known = module("pyarrow.lib", ending) | module("msgspec._core", ending)
    assert handlers.needed(known | module("_json", ending)) is Needed.NOTHING
    assert handlers.needed(known | module("numpy.core", ".py")) is Needed.NOTHING
    assert handlers.needed(known | module("numpy._core", ending)) is Needed.WITH_C


def test_a_copy_that_needs_everything_is_made_by_python() -> None:
    assert forking(Needed.EVERYTHING) is os.fork


@pytest.mark.parametrize("needed", [Needed.WITH_C, Needed.NOTHING])
def test_a_copy_is_made_with_less_around_it(needed: Needed) -> None:
    pid = forking(needed)()
    if not pid:
        os._exit(EXIT_CODE)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == EXIT_CODE
