"""What a scenario promises of its figures: `@assert("records > 0 && null_ratio(tailnum) < 0.1")`."""

from __future__ import annotations

from runink.dag import Assertion
from runink.dsl.chain import Stream
from runink.dsl.clauses import AssertClause
from runink.dsl.diagnostics import Findings
from runink.dsl.expressions import UNKNOWN, condition, fields_of, figures_of
from runink.expressions import Measure, figures_in


def assertion_of(
    clause: AssertClause, scenario: str, main: Stream, findings: Findings
) -> Assertion | None:
    """Return the assertion, or nothing if it is none, which `findings` tells. `main` is the scenario's stream at its end, which figures of fields are about."""
    fields = UNKNOWN if main.contract is None else fields_of(main.contract)
    expression = condition(clause.condition, figures_of(fields), findings)
    if expression is None:
        return None
    figures = figures_in(expression)
    if len(main.nodes) > 1 and any(one.measure is Measure.DISTINCT for one in figures):
        text = f"distinct() is of one stream, and the scenario ends in {len(main.nodes)} of them"
        findings.add("D063", text, clause.condition.span, "put a @step behind them")
        return None
    of = main.nodes if figures else ()
    return Assertion(scenario, clause.condition.value, expression, of)
