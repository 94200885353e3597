"""Conditions of a pipeline: `when "dep_delay > 15"`, `@assert("rejected <= 10")`; mistakes become findings with their place in the file.

The language is `runink/expressions`; here stand the names that a condition may use, which come from contracts or are a run's figures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from runink.contracts.scopes import fields_of
from runink.dsl.diagnostics import Findings
from runink.dsl.syntax import Text
from runink.expressions import Expression, measures
from runink.expressions.parsing import parse
from runink.expressions.typing import UNKNOWN, Scope, Sort

__all__ = ["FIGURES", "UNKNOWN", "Scope", "condition", "fields_of", "figures_of"]

FIGURES: Final = Scope(measures.FIGURES, what="figure", stream=UNKNOWN)


def figures_of(fields: Scope) -> Scope:
    """Return the names of a scenario's figures, over a stream with these fields."""
    return replace(FIGURES, stream=fields)


def condition(text: Text, scope: Scope, findings: Findings) -> Expression | None:
    """Return the condition, or nothing if it is none, which `findings` tells."""
    parsed = parse(text.value, scope, wanted=Sort.BOOLEAN)
    for mistake in parsed.mistakes:
        span = text.at(mistake.at, mistake.length)
        findings.add(mistake.code, mistake.text, span, mistake.hint)
    return parsed.expression
