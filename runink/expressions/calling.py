"""Calls, checked: whether there is such a function, how many arguments it takes, and of which sort."""

from __future__ import annotations

from typing import Any, Protocol

from runink.expressions import times
from runink.expressions.functions import BY_NAME, FOREIGN, SIGNATURES, Signature
from runink.expressions.mistakes import Mistakes, Typed
from runink.expressions.patterns import PatternError, program
from runink.expressions.tree import Expression, Function, Index, Literal, Measure, Member, Name
from runink.expressions.typing import ListOf, Shape, Sort, told
from runink.suggestions import listed, near


class Builder(Protocol):
    """Who builds arguments and notes mistakes."""

    mistakes: Mistakes

    def unite(self, branches: list[Typed]) -> tuple[tuple[Expression, ...], Shape]: ...


def call(
    builder: Builder, token: Any, arguments: list[Typed], *, is_method: bool
) -> tuple[Function | None, tuple[Expression, ...], Shape]:
    """Return the function, its arguments and what it gives; no function where there is none such, which is noted."""
    mistakes = builder.mistakes
    function = BY_NAME.get(str(token))
    if function is None:
        _unknown(mistakes, token)
        return None, (), Sort.UNKNOWN
    signature = SIGNATURES[function]
    name = f"{token}()"
    if is_method and not signature.is_method:
        mistakes.wrong("D060", f"{name} is no method", token, f"write {token}(x)")
    if not _check_count(mistakes, token, signature, len(arguments)):
        return function, tuple(one.expression for one in arguments), signature.gives
    if function is Function.COALESCE:
        values, shape = builder.unite(arguments)
        return function, values, shape
    for place, argument in enumerate(arguments):
        _check_argument(mistakes, name, signature, place, argument)
    _check_meaning(mistakes, function, arguments)
    return function, tuple(one.expression for one in arguments), signature.gives


def _unknown(mistakes: Mistakes, token: Any) -> None:
    name = str(token)
    instead = FOREIGN.get(name.lower())
    hint = (
        f"write {instead}"
        if instead
        else near(name, [*BY_NAME, *(one.value for one in Measure)]) or listed(BY_NAME)
    )
    mistakes.wrong("D061", f"there is no function {name}", token, hint)


def _check_count(mistakes: Mistakes, token: Any, signature: Signature, given: int) -> bool:
    wanted = len(signature.takes)
    is_open = signature.gives is Sort.UNKNOWN  # coalesce
    if given == wanted or (is_open and given > wanted):
        return True
    least = " at least" if is_open else ""
    noun = "argument" if wanted == 1 else "arguments"
    mistakes.wrong("D063", f"{token}() takes {wanted} {noun}{least}, not {given}", token)
    return False


def _check_argument(
    mistakes: Mistakes, name: str, signature: Signature, place: int, argument: Typed
) -> None:
    shape = argument.shape
    takes = signature.takes[place]
    is_list = isinstance(shape, ListOf)
    if shape is Sort.NOTHING:
        mistakes.wrong("D063", f"{name} of null is nothing", argument)
    elif is_list and signature.takes_lists:
        return
    elif not isinstance(shape, Sort) or not (shape is Sort.UNKNOWN or shape in takes):
        if Sort.UNKNOWN in takes:
            return
        wanted = " or ".join(sorted(one.value for one in takes))
        wanted = f"{wanted} or a list" if signature.takes_lists else wanted
        text = f"{name} takes {wanted}; {mistakes.said(argument)} is {told(shape)}"
        mistakes.wrong("D063", text, argument)
    elif place in signature.plain and not _is_text(argument):
        hint = "a text in quotes, which is the same for all rows"
        mistakes.wrong("D063", f"{name} takes a plain text here", argument, hint)


def _is_text(argument: Typed) -> bool:
    return isinstance(argument.expression, Literal) and isinstance(argument.expression.value, str)


def _check_meaning(mistakes: Mistakes, function: Function, arguments: list[Typed]) -> None:
    """Check what no sort tells: that `has` asks about a field, and that times and durations can be read."""
    first = arguments[0]
    if function is Function.HAS and not isinstance(first.expression, Name | Member | Index):
        mistakes.wrong("D063", "has() asks about a field", first, "as in has(carrier)")
    if function is Function.MATCHES and len(arguments) == 2 and _is_text(arguments[1]):
        _check_pattern(mistakes, arguments[1])
    if function not in _READERS or first.shape is not Sort.TEXT:
        return
    read, form = _READERS[function]
    if not isinstance(first.expression, Literal):
        hint = "give the field its type by a contract"
        mistakes.wrong("D063", f"{function.value}() reads only what is written out", first, hint)
    elif read(str(first.expression.value)) is None:
        text = f"{mistakes.said(first)} is not {told(SIGNATURES[function].gives)}"
        mistakes.wrong("D063", text, first, f"write it like {form}")


def _check_pattern(mistakes: Mistakes, pattern: Typed) -> None:
    assert isinstance(pattern.expression, Literal)
    try:
        program(str(pattern.expression.value))
    except PatternError as error:
        mistakes.wrong("D063", f"this pattern cannot be read: {error.text}", pattern, error.hint)


_READERS = {
    Function.TIMESTAMP: (times.instant, "2013-01-31T06:00:00Z"),
    Function.DURATION: (times.duration, "90s or 1h30m"),
}
