"""What a step's parameters are annotated with is found as Python's own inspection finds it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from runink.steps.shapes import annotations_of


def nothing() -> None: ...
def bare(rows, side): ...
def several(first: pa.Table, /, second, *rest: int, third: str = "", **named: Any) -> None: ...
def by_name(rows: "Iterator[pa.Table]", *, side: dict[str, int]) -> None: ...  # noqa: UP037 - people write so
def with_names_of_its_own(rows: list) -> int:
    length = len(rows)
    return length + length


def evaluated() -> Callable[..., Any]:
    """Return a function of a file that does not put its annotations off."""
    found: dict[str, Any] = {"pa": pa, "Iterator": Iterator}
    text = "def f(rows: Iterator[pa.Table], side: dict[str, int], other: 'int' = 3): ..."
    exec(compile(text, "f.py", "exec", dont_inherit=True), found)
    made: Callable[..., Any] = found["f"]
    return made


@functools.wraps(several)
def wrapping(*arguments: object) -> None: ...


class Called:
    def __call__(self, rows: pa.Table) -> None: ...


def as_inspected(function: Callable[..., Any]) -> list[tuple[str, str]]:
    found = inspect.signature(function).parameters.items()
    given = ((name, one.annotation) for name, one in found)
    return [
        (name, "" if kind is inspect.Parameter.empty else kind)
        if isinstance(kind, str) or kind is inspect.Parameter.empty
        else (name, inspect.formatannotation(kind))
        for name, kind in given
    ]


@pytest.mark.parametrize(
    "function",
    [
        *(nothing, bare, several, by_name, with_names_of_its_own, evaluated(), wrapping),
        *(Called(), functools.partial(several, 1)),
    ],
)
def test_annotations_are_those_that_inspection_finds_in_the_same_order(
    function: Callable[..., Any],
) -> None:
    assert list(annotations_of(function).items()) == as_inspected(function)
