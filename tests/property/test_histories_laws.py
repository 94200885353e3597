"""Laws of the checkers: what one store did one thing at a time is sound however the operations overlap, and a read that lies is found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from runink.testing.histories import Action, Answer, Delete, Get, Operation, Put, Saw, Swap, Wrote
from runink.testing.linearizability import Verdict, check_linearizable
from runink.testing.revision_order import check_revisions

KEYS = ("k", "j")
SPREAD = 60  # an operation overlaps with up to this many tenths of an operation on either side


class Model:
    """A store that does one operation after the other."""

    def __init__(self) -> None:
        self.revision = 0
        self.items: dict[str, tuple[bytes, int]] = {}

    def do(self, key: str, action: Action) -> Answer:
        value, mod_revision = self.items.get(key, (None, 0))
        match action:
            case Get():
                return Saw(value, mod_revision, self.revision)
            case Delete() if value is None:
                return Wrote(self.revision, changed=False)
            case Swap(expected) if expected not in (value, mod_revision):
                return Wrote(self.revision, changed=False)
        self.revision += 1
        if isinstance(action, Delete):
            del self.items[key]
        else:
            self.items[key] = (action.value, self.revision)
        return Wrote(self.revision)


@dataclass(frozen=True)
class Step:
    key: str
    kind: str
    number: int
    before: int
    behind: int
    fate: str


STEPS = st.lists(
    st.builds(
        Step,
        key=st.sampled_from(KEYS),
        kind=st.sampled_from(["get", "get", "put", "delete", "swap revision", "swap value"]),
        number=st.integers(0, 3),
        before=st.integers(0, SPREAD),
        behind=st.integers(0, SPREAD),
        fate=st.sampled_from(["answered"] * 4 + ["unknown, done", "unknown, not done"]),
    ),
    max_size=40,
)


def action_of(step: Step, place: int, model: Model) -> Action:
    value = b"%d" % place if step.number else b"same"
    match step.kind:
        case "get":
            return Get()
        case "put":
            return Put(value)
        case "delete":
            return Delete()
        case "swap revision":
            return Swap(max(0, model.revision - step.number), value)
        case _:
            return Swap(model.items.get(step.key, (b"none", 0))[0], value)


def history_of(steps: list[Step]) -> list[Operation]:
    model = Model()
    history = []
    for place, step in enumerate(steps):
        at = 10 * place
        action = action_of(step, place, model)
        if step.fate == "unknown, not done":
            if not isinstance(action, Get):
                history.append(Operation("c", step.key, action, at - step.before))
            continue
        known: dict[str, Any] = {"answer": model.do(step.key, action), "ended": at + step.behind}
        if step.fate != "answered":
            if isinstance(action, Get):
                continue
            known = {}
        history.append(Operation("c", step.key, action, at - step.before, **known))
    return history


@given(steps=STEPS)
def test_what_happened_one_after_the_other_is_sound(steps: list[Step]):
    history = history_of(steps)
    assert check_linearizable(history).verdict is Verdict.LINEARIZABLE
    assert check_revisions(history) == []


@given(steps=STEPS, choice=st.integers(0, 1000))
def test_a_read_of_what_nobody_wrote_is_found(steps: list[Step], choice: int):
    history = history_of(steps)
    reads = [place for place, one in enumerate(history) if isinstance(one.answer, Saw)]
    if not reads:
        return
    place = reads[choice % len(reads)]
    saw = history[place].answer
    assert saw is not None
    history[place] = replace(history[place], answer=Saw(b"?", saw.revision, saw.revision))
    assert check_linearizable(history).verdict is Verdict.VIOLATION
    assert check_revisions(history)


@given(steps=STEPS, choice=st.integers(0, 1000))
def test_a_read_of_what_was_overwritten_before_it_began_is_found(steps: list[Step], choice: int):
    history = history_of(steps)
    stale = [
        (place, old.action.value, old.answer.revision)
        for place, read in enumerate(history)
        for old in history
        for new in history
        if isinstance(read.answer, Saw) and read.key == old.key == new.key
        if isinstance(old.answer, Wrote) and isinstance(old.action, Put)
        if isinstance(new.answer, Wrote) and new.answer.changed
        if old.answer.revision < new.answer.revision
        if new.ended is not None and new.ended < read.began
    ]
    if not stale:
        return
    place, value, revision = stale[choice % len(stale)]
    history[place] = replace(history[place], answer=Saw(value, revision, revision))
    assert check_linearizable(history).verdict is Verdict.VIOLATION
    assert check_revisions(history)
