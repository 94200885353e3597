"""What is registered to be done after a fork, and whether a copy can do without."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from runink.sandbox.namespaces import Handlers


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Handlers]:
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)  # nothing of a test stays
    yield Handlers()
    monkeypatch.undo()


def own() -> None:
    """Be something to register."""


def test_nothing_is_needed_of_what_the_standard_library_registers(handlers: Handlers) -> None:
    assert not handlers.are_needed
    for module in ("threading", "logging", "random", "concurrent.futures.thread"):
        one = lambda: None  # noqa: E731 - its module is set
        one.__module__ = module
        os.register_at_fork(after_in_child=one)
    assert not handlers.are_needed


@pytest.mark.parametrize("when", ["before", "after_in_child", "after_in_parent"])
def test_anything_else_is_needed(handlers: Handlers, when: str) -> None:
    os.register_at_fork(**{when: own})
    assert handlers.are_needed
    assert handlers.names == {__name__}
