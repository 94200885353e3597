"""The codes of lint: how bad it is, in a line, and at length. A code means the same for ever; one that goes is not given again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Severity(IntEnum):
    """How bad a finding is: an ERROR does not compile, a WARNING is most likely a slip, a NOTE could be said better."""

    NOTE = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class LintCode:
    """`is_mended` says that `--fix` mends it without changing what the pipeline does."""

    code: str
    severity: Severity
    title: str
    text: str
    is_mended: bool = False


def _table(*codes: LintCode) -> dict[str, LintCode]:
    return {one.code: one for one in codes}


LINT_CODES: Final = _table(
    LintCode(
        "L001",
        Severity.WARNING,
        "a step's stream has a name that nobody uses",
        "as=NAME gives a stream a name for from=, on= and for steps that take it as an argument. Nobody in the scenario names this one. "
        "Either a from= is missing, and a line reads something else than was meant, or the name can go.",
        is_mended=True,
    ),
    LintCode(
        "L002",
        Severity.NOTE,
        "a parameter is mentioned nowhere in the file",
        "Only a step in Python that asks for it by runink.context().parameters has it. If none does, --param sets something that changes nothing.",
    ),
    LintCode(
        "L003",
        Severity.WARNING,
        "rows come in from outside, and no contract checks them",
        "What other programs write changes without notice. Without a contract in the scenario, text stays text, a column that is gone is told by whatever fails "
        "first, and nothing is set aside. Write @contract below the @source, and a @deadletter.",
    ),
    LintCode(
        "L004",
        Severity.NOTE,
        "what the pipeline gives in the end is compared with nothing",
        "A sink that no other scenario reads is a result. With @golden below it, `runi test` says when the result changes.",
    ),
    LintCode(
        "L005",
        Severity.WARNING,
        "a sentence looks as if it were enforced, and is not",
        'Some sentences are compiled (`FIGURE must be OPERATOR NUMBER`, `the contract: X`, `"N" (sink: U)`), every other one is for people. This one is close to a compiled one, '
        "and means nothing. Write it as `runi explain` shows the others, or say it in other words.",
    ),
    LintCode(
        "L006",
        Severity.NOTE,
        "a URI has a plainer spelling",
        "sf:x and sf://x, csv://./a//b.csv and csv://a/b.csv are one place. One spelling is found by whoever searches.",
        is_mended=True,
    ),
    LintCode(
        "L007",
        Severity.NOTE,
        "a number, an amount or a flag stands in quotes",
        'memory="512Mi" and memory=512Mi are the same; quotes are for text.',
        is_mended=True,
    ),
    LintCode(
        "L008",
        Severity.WARNING,
        "this asks for what is asked for already",
        "A @requires or @affinity below a step holds for that step, one above the first step for the whole scenario. This one says what the scenario says for all its steps.",
        is_mended=True,
    ),
    LintCode(
        "L009",
        Severity.NOTE,
        "a line is longer than a screen is wide",
        "An error shows 160 characters of a line. Arguments may stand on lines of their own within the brackets, and SQL in three quotes.",
    ),
    LintCode(
        "L010",
        Severity.WARNING,
        "two scenarios have one title",
        "Whoever reads a report or a log cannot tell them apart.",
    ),
    LintCode(
        "L011",
        Severity.WARNING,
        "a condition is the same for every row",
        "It mentions no field, compares a thing with itself, or demands of a field what no value can be. Then a sink takes everything or nothing, and an @assert promises nothing.",
    ),
    LintCode(
        "L012",
        Severity.NOTE,
        "a name is not in lower case",
        "Names of streams and parameters are arguments in Python and tables in SQL, where they are written in lower case, with _ between words.",
    ),
    LintCode(
        "L013",
        Severity.NOTE,
        "this is so if nothing is said",
        "It can be left away; what is said should be what matters.",
        is_mended=True,
    ),
    LintCode(
        "L014",
        Severity.NOTE,
        "there is a more usual word for this",
        "Some words have a second spelling, because people come from other tools: id for as, after for from, Example: for Scenario:. A project that keeps to one is easier to search.",
        is_mended=True,
    ),
    LintCode(
        "L015",
        Severity.WARNING,
        "a note that lint is to be silent is wrong",
        "`# lint: ignore L003 reason` silences codes in its line, or in the next if it stands alone. It must name codes that there are, give a reason, and silence something.",
    ),
)  # fmt: skip
