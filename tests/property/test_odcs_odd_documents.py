"""Documents that somebody got wrong: whatever stands in them, they are read with findings or written over, and never crash."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from runink.contracts.odcs import written_document
from runink.contracts.odcs_text import odcs_document, odcs_names, read_odcs
from runink.contracts.odcs_words import OBJECT_KEYS, PROPERTY_KEYS, QUALITY_KEYS
from runink.contracts.yaml_text import read_yaml, write_yaml
from runink.errors import Invalid, NotFound
from spec_world import UNHURRIED, contract_specs

KEYS = st.sampled_from(
    sorted(
        PROPERTY_KEYS
        | OBJECT_KEYS
        | QUALITY_KEYS
        | {"minimum", "pattern", "format", "validValues", "property", "value", "runinkGe"}
    )
)
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        [
            "",
            "x",
            "string",
            "runinkGe",
            "runinkTags",
            "(",
            "custom",
            "runink",
            "[a",
            "2020-01-01",
            "1.0",
        ]
    )
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where parts of a document stand."""
    found = [path] if path else []
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return found + [one for key, part in inner for one in paths(part, (*path, key))]


@st.composite
def odd_documents(draw: st.DrawFn) -> dict[str, Any]:
    document: dict[str, Any] = copy.deepcopy(written_document(draw(contract_specs(depth=1))))
    for _ in range(draw(st.integers(1, 3))):
        places = paths(document)
        if not places:
            break
        *way, last = draw(st.sampled_from(places))
        holder: Any = document
        for key in way:
            holder = holder[key]
        if draw(st.booleans()):
            holder[last] = draw(ODD)
        elif isinstance(holder, dict):
            holder[draw(KEYS)] = draw(ODD)
        else:
            holder.insert(last, draw(ODD))
    return document


@UNHURRIED
@given(odd_documents())
def test_an_odd_document_is_read_or_told(document: dict[str, Any]):
    text = write_yaml(document)
    try:
        read_odcs(text, file="x.yaml", name="")
    except Invalid as error:
        findings = error.findings
    except NotFound:
        return
    else:
        return
    assert findings
    assert all(one.span is not None and one.code for one in findings)
    odcs_names(text, file="x.yaml")


@UNHURRIED
@given(odd_documents(), contract_specs(depth=1))
def test_a_contract_is_written_over_an_odd_document(document: dict[str, Any], spec: Any):
    try:
        over = odcs_document(write_yaml(document), file="x.yaml")
    except Invalid:
        return
    written = written_document(spec, over=over)
    assert spec.name in odcs_names(write_yaml(written), file="x.yaml")


TEXTS = st.text("abc:- \n\t[]{}&*!<'\"#|>,?0.~\\\u2028\x85é", max_size=60)


@UNHURRIED
@given(TEXTS | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_read_or_told(text: str):
    try:
        located = read_yaml(text, file="x.yaml")
    except Invalid as error:
        assert error.findings  # noqa: PT017 - one of two outcomes
    else:
        assert read_yaml(
            write_yaml(located.value), file="x.yaml"
        ).value == located.value or has_nan(located.value)


def has_nan(value: Any) -> bool:
    if isinstance(value, float):
        return value != value  # noqa: PLR0124 - only nan is not itself
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(has_nan(one) for one in inner)
