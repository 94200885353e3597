"""What can be asked of a run as a whole: its figures, measures of a field over a stream, and which field `freshness` goes by where none is named.

That is the field that the contract marks as its event time; where it marks none, its only timestamp.  A day is taken only where it is marked: the one date of a contract
is as often a birthday.  Nothing is guessed: where two could be meant, or none, the mistake says which fields there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runink.expressions.tree import Figure, Measure, said
from runink.expressions.typing import INSTANTS, SIMPLE, Scope, Shape, Sort, told

FIGURES: Final[dict[str, Shape]] = {
    **dict.fromkeys(("records", "rows_in", "rows_out", "rejected"), Sort.INT),
    "rejected_ratio": Sort.NUMBER,
    Measure.FRESHNESS.value: Sort.DURATION,
}
MEASURES: Final = {one.value: one for one in Measure}
# What each gives, and of which sorts the field may be.
MEASURED: Final[dict[Measure, tuple[Sort, frozenset[Shape] | None]]] = {
    Measure.NULL_RATIO: (Sort.NUMBER, None),
    Measure.DISTINCT: (Sort.INT, frozenset(SIMPLE | {Sort.UNKNOWN})),
    Measure.FRESHNESS: (Sort.DURATION, frozenset(INSTANTS | {Sort.UNKNOWN})),
}
MARK: Final = "event_time"  # the tag of a contract's field
NAMED_MAX: Final = 4  # fields in a hint: who has more knows what a time is


@dataclass(frozen=True, slots=True)
class Undecided:
    """Why no field can be taken, and what to write instead."""

    text: str
    hint: str


def event_time(stream: Scope) -> str | Undecided:
    """Return the field that says when what a row tells of has happened."""
    if stream.sorts is None:
        text = (
            "freshness goes by the contract's event time, and what these rows are no contract says"
        )
        return Undecided(text, "name the field: freshness(at); or put a @contract at the end")
    times = [name for name, sort in stream.sorts.items() if sort in INSTANTS]
    match stream.event_times:
        case (marked,):
            return marked if marked in times else _no_time(stream, marked, times)
        case ():
            instants = [name for name in times if stream.sorts[name] is Sort.TIME]
            return instants[0] if len(instants) == 1 else _unmarked(stream, times, instants)
        case several:
            text = f"{stream.whose} marks {_listed(several)} as its event time"
            return Undecided(text, f"mark one field, or name it: {_named(several)}")


def _no_time(stream: Scope, marked: str, times: Sequence[str]) -> Undecided:
    assert stream.sorts is not None
    text = f"{stream.whose} marks {marked} as its event time, which is {told(stream.sorts[marked])}"
    return Undecided(text, _instead(times) or "mark a field that is a datetime or a date")


def _unmarked(stream: Scope, times: Sequence[str], instants: Sequence[str]) -> Undecided:
    if not times:
        text = f"freshness needs a time, and {stream.whose} has no field that is one"
        return Undecided(text, "it counts from a datetime or a date that the rows have")
    if not instants:
        text = f"freshness goes by a timestamp, and {stream.whose} has only days: {_listed(times)}"
        return Undecided(text, _instead(times))
    text = f"freshness could go by {_listed(instants, last='or')} of {stream.whose}"
    return Undecided(text, _instead(times))


def _instead(times: Sequence[str]) -> str:
    return (
        f"name the field: {_named(times)}; or give one the tag {MARK} in the contract"
        if times
        else ""
    )


def _named(fields: Sequence[str]) -> str:
    calls = [said(Figure(Measure.FRESHNESS, one)) for one in fields[:NAMED_MAX]]
    return " or ".join(calls) + (" …" if len(fields) > NAMED_MAX else "")


def _listed(fields: Sequence[str], *, last: str = "and") -> str:
    shown = list(fields[:NAMED_MAX])
    if len(fields) > NAMED_MAX:
        shown.append(f"{len(fields) - NAMED_MAX} more")
    return f" {last} ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)
