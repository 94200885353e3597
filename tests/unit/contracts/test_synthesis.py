"""Rows that are made keep what is said over several fields and over several rows, and what cannot be kept is named."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from runink.contracts.fields import ContractSpec, FieldSpec, Kind, RuleSpec
from runink.contracts.plan import compile_plan
from runink.contracts.scopes import rule
from runink.contracts.synthesis import CHUNK_ROWS, Synthesis, Wish
from runink.contracts.synthesis_edges import edges_of
from runink.contracts.synthesis_mistakes import Form
from runink.contracts.synthesis_texts import no_words
from runink.errors import Invalid

LOW, HIGH = FieldSpec("low", Kind.INT, ge=0, le=100), FieldSpec("high", Kind.INT, ge=0, le=100)


def ruled(text: str, *fields: FieldSpec, key: tuple[str, ...] = ()) -> ContractSpec:
    parsed = rule(text, fields, whose="T")
    assert parsed.expression is not None
    rules = (RuleSpec("ordered", text, parsed.expression),)
    return ContractSpec("T", "1.0.0", fields, key=key, rules=rules)


def made(spec: ContractSpec, seed: int = 1, **wish: Any) -> Synthesis:
    return Synthesis(spec, Wish(**wish), Random(seed), no_words)


def rows_of(synthesis: Synthesis) -> list[dict[str, Any]]:
    return [row for chunk in synthesis.chunks() for row in chunk.rows.to_pylist()]


def test_rows_keep_rules_over_several_fields() -> None:
    rows = rows_of(made(ruled("low <= high", LOW, HIGH), rows=500))
    assert len(rows) == 500
    assert all(row["low"] <= row["high"] for row in rows)


def test_rows_that_break_a_rule_break_nothing_else() -> None:
    spec = ruled("low <= high", LOW, HIGH)
    [chunk] = made(spec, rows=200, broken_ratio=0.5).chunks()
    broken = [one for one in chunk.mistakes if one.rule == "rule:ordered"]
    assert broken
    for one in broken:
        [row] = one.instead.to_pylist()
        assert 0 <= row["high"] < row["low"] <= 100
        rejected = compile_plan(spec).check(one.instead).rejected
        assert rejected is not None
        assert rejected.reasons.to_pylist()[0][0]["rule"] == "rule:ordered"


def test_a_rule_that_chance_does_not_meet_is_named() -> None:
    wide = [FieldSpec(name, Kind.INT, ge=0, le=10**9) for name in ("low", "high")]
    with pytest.raises(Invalid) as caught:
        rows_of(made(ruled("low == high", *wide), rows=5))
    assert "rule:ordered" in caught.value.text
    assert caught.value.code == "synth_impossible"


def test_keys_and_unique_fields_hold_no_value_twice_also_over_chunks() -> None:
    fields = (
        FieldSpec("a", Kind.INT, ge=0, le=300),
        FieldSpec("b", Kind.STR),
        FieldSpec("u", Kind.STR, unique=True, nullable=True),
    )
    count = CHUNK_ROWS + 500
    rows = rows_of(made(ContractSpec("T", "1.0.0", fields, key=("a", "b")), rows=count))
    assert len({(row["a"], row["b"]) for row in rows}) == count
    used = Counter(row["u"] for row in rows if row["u"] is not None)
    assert max(used.values()) == 1
    assert len(used) < count, "nothing may stand more than once"


def test_a_broken_unique_field_repeats_the_first_rows_value() -> None:
    spec = ContractSpec("T", "1.0.0", (FieldSpec("u", Kind.INT, unique=True),))
    [chunk] = made(spec, rows=50, broken_ratio=0.5, form=Form.VALUES).chunks()
    first = chunk.rows.column("u")[0].as_py()
    repeats = [one for one in chunk.mistakes if one.rule == "unique"]
    assert repeats
    assert {one.instead.column("u")[0].as_py() for one in repeats} == {first}
    assert all(one.row for one in chunk.mistakes), "the first row stays as it is"


def test_more_rows_than_a_key_has_values_are_refused() -> None:
    field = FieldSpec("u", Kind.STR, choices=("a", "b"), unique=True)
    with pytest.raises(Invalid) as caught:
        rows_of(made(ContractSpec("T", "1.0.0", (field,)), rows=3))
    assert caught.value.code == "synth_impossible"


def test_as_many_rows_are_broken_as_were_asked_for_over_all_chunks() -> None:
    spec = ContractSpec("T", "1.0.0", (LOW,))
    count = 2 * CHUNK_ROWS + 10
    mistakes = [one for chunk in made(spec, rows=count, broken_ratio=0.1).chunks() for one in chunk.mistakes]  # fmt: skip
    assert len(mistakes) == round(count * 0.1)
    assert [one.row for one in mistakes] == sorted({one.row for one in mistakes})


def test_a_contract_that_takes_any_row_cannot_be_broken() -> None:
    spec = ContractSpec("T", "1.0.0", (FieldSpec("t", Kind.STR, nullable=True),))
    with pytest.raises(Invalid, match="takes any row"):
        rows_of(made(spec, rows=5, broken_ratio=0.5))


def test_edges_come_first_each_of_them_once() -> None:
    spec = ContractSpec("T", "1.0.0", (LOW, HIGH))
    rows = rows_of(made(spec, rows=100, edges=True))
    assert [row["low"] for row in rows[:3]] == [0, 100, 0]
    edges = edges_of(FieldSpec("t", Kind.STR, min_length=2, max_length=4), no_words, Random(1))
    assert {"xx", "xxxx"} <= set(edges)
    assert all(2 <= len(edge) <= 4 for edge in edges)


def test_a_key_that_has_too_few_values_is_named_before_a_rule_that_many_rows_break() -> None:
    spec = ruled("low <= high", LOW, HIGH, key=("low",))
    with pytest.raises(Invalid, match="500 rows need more different values than low can hold"):
        rows_of(made(spec, rows=500))


def test_edges_that_no_file_can_hold_are_none() -> None:
    empty = FieldSpec("e", Kind.STR, max_length=0)  # which is read as nothing in CSV
    with pytest.raises(Invalid, match="missing"):
        rows_of(made(ContractSpec("T", "1.0.0", (empty,)), rows=10, edges=True))


@pytest.mark.parametrize("pattern", ["a{1000}" * 101, r"\p{Greek}", r"[^\s\S]"])
def test_a_pattern_that_no_text_is_made_for_is_named(pattern: str) -> None:
    field = FieldSpec("letter", Kind.STR, pattern=pattern)
    with pytest.raises(Invalid, match="no text can be made for letter") as caught:
        rows_of(made(ContractSpec("T", "1.0.0", (field,)), rows=10))
    assert len(caught.value.text) < 300


def test_broken_values_inside_records_and_lists_are_named_by_the_way_to_them() -> None:
    inner = FieldSpec("zip", Kind.STR, pattern="[0-9]{5}")
    fields = (
        FieldSpec("address", Kind.RECORD, fields=(inner,)),
        FieldSpec("sizes", Kind.LIST, items=FieldSpec("item", Kind.INT, ge=1), min_length=2),
    )
    spec = ContractSpec("T", "1.0.0", fields)
    [chunk] = made(spec, rows=100, broken_ratio=0.5, form=Form.VALUES).chunks()
    named = {(one.field, one.rule) for one in chunk.mistakes}
    assert {("address.zip", "pattern"), ("sizes[0]", "ge"), ("sizes", "min_length")} <= named


def test_no_row_is_made_where_none_is_wanted() -> None:
    assert rows_of(made(ContractSpec("T", "1.0.0", (LOW,)), rows=0, edges=True)) == []


def test_rows_have_the_types_of_the_contract() -> None:
    [chunk] = made(ContractSpec("T", "1.0.0", (LOW,)), rows=3).chunks()
    assert chunk.rows.schema == compile_plan(ContractSpec("T", "1.0.0", (LOW,))).schema
    assert chunk.rows.schema.field("low").type == pa.int8()


class Counted(Random):
    """Chance that says how often it was asked."""

    asked = 0

    def random(self) -> float:
        self.asked += 1
        return super().random()


def test_edges_that_nobody_has_room_for_are_not_made() -> None:
    asked, rows = [], []
    for fields in (20, 40):
        spec = ContractSpec(
            "T",
            "1.0.0",
            tuple(FieldSpec(f"f{one}", Kind.INT, ge=0, le=100) for one in range(fields)),
        )
        chance = Counted(1)
        rows.append(rows_of(Synthesis(spec, Wish(rows=10, edges=True), chance, no_words)))
        asked.append(chance.asked)
    assert asked[1] <= 2 * asked[0]  # as many rows, of twice as many fields
    assert [len(one) for one in rows] == [10, 10]
    assert {0, 100} <= {row["f0"] for row in rows[1]}
