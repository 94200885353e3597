"""Annotations whose part is not there yet: their arguments are checked, and then they are told, for none is ever accepted and ignored."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from runink.dsl.arguments import Arguments, Parameters
from runink.dsl.diagnostics import Findings
from runink.dsl.syntax import Annotation
from runink.dsl.vocabulary import ANNOTATIONS, AnnotationKind, Type
from runink.quantities import parse_duration

COUNT_MAX: Final = 1_000  # of whole numbers: more tries than this is a slip

_NAME: Final = re.compile(r"[A-Za-z_][\w./+-]*")
_COUNT: Final = re.compile(r"\d{1,9}")


def tell_later(
    annotation: Annotation, kind: AnnotationKind, parameters: Parameters, findings: Findings
) -> None:
    """Check an annotation whose part is not there yet, and tell that it is not."""
    arguments = Arguments(annotation, kind, findings, parameters)
    for name in arguments.names:
        _CHECKS[kind.types.get(name, Type.TEXTS)](arguments, name)
    if annotation.name == "window" and arguments.is_usable:
        _check_window(arguments)
    tell_inner(arguments, parameters, findings)
    findings.add("D012", f"@{annotation.name} is not there yet", annotation.span, kind.later)


def tell_inner(arguments: Arguments, parameters: Parameters, findings: Findings) -> None:
    """Tell the annotations within another one whose part is not there yet."""
    for inner in arguments.inner:
        kind = ANNOTATIONS[inner.name]
        if kind.later:
            tell_later(inner, kind, parameters, findings)
            arguments.is_usable = False


def _check_window(arguments: Arguments) -> None:
    shapes = [name for name in arguments.names if name != "every"]
    if len(shapes) > 1:
        arguments.unfit(
            shapes[1], f"a window has a {shapes[0]} or a {shapes[1]}, not both", code="D016"
        )
    elif arguments.has("every") != arguments.has("sliding"):
        lacking, there = ("every", "sliding") if arguments.has("sliding") else ("sliding", "every")
        arguments.unfit(
            there, f"{there} goes with {lacking}", "as in @window(sliding=10m, every=2m)", "D014"
        )


def _check_name(arguments: Arguments, name: str) -> None:
    text = arguments.text(name)
    if text is not None and _NAME.fullmatch(text.value) is None:
        arguments.unfit(
            name, f"{text.value!r} is no name", "letters, digits, . / - and _, the first a letter"
        )


def count_of(arguments: Arguments, name: str) -> int | None:
    """Return a whole number, or nothing where it is not there or is none, which is told."""
    text = arguments.text(name)
    if text is None:
        return None
    if _COUNT.fullmatch(text.value) is None or int(text.value) > COUNT_MAX:
        told = f"{name} must be a whole number, 0 to {COUNT_MAX:,}"
        arguments.unfit(name, told, f"as in {name}=3")
        return None
    return int(text.value)


def _check_duration(arguments: Arguments, name: str) -> None:
    arguments.quantity(name, parse_duration)


_CHECKS: Final[dict[Type, Callable[[Arguments, str], object]]] = {
    Type.TEXT: Arguments.text,
    Type.TEXTS: Arguments.texts,
    Type.NAME: _check_name,
    Type.FLAG: Arguments.flag,
    Type.COUNT: count_of,
    Type.DURATION: _check_duration,
}
