"""Messages of the sandbox as bytes: what is written is read again, and whatever else comes is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.sandbox.codec import MESSAGE_BYTES_MAX, REQUEST_MAX, BadMessage, decode, encode
from runink.sandbox.protocol import (
    ENVIRONMENT_MAX,
    FIELDS,
    FROM_FORK_SERVER,
    TO_AGENT,
    TO_FORK_SERVER,
    TO_SPAWNER,
    Exited,
    Kill,
    Launch,
    List,
    is_preloadable,
)

KINDS = TO_SPAWNER | TO_AGENT | TO_FORK_SERVER | FROM_FORK_SERVER
clean = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
names = clean.filter(lambda text: text and "=" not in text and len(text) <= 200)
launches = st.builds(
    Launch,
    slice=clean.filter(bool).map(lambda text: text[:200]),
    attempt=st.integers(0, 1 << 31),
    cwd=clean.filter(bool),
    environment=st.dictionaries(names, clean, max_size=20),
    wall_time_s=st.floats(0, 1e6) | st.integers(0, 1000),
)


@given(launches, st.integers(0, REQUEST_MAX), st.integers(0, 250))
def test_what_is_encoded_is_decoded(launch, request, descriptors):
    body = encode("launch", launch, request=request, descriptors=descriptors)
    assert decode(body, KINDS, FIELDS, came=descriptors) == (request, launch)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["kind", "request", "descriptors", "slice", "x"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_nothing_but_a_refusal_comes_of_bytes_that_are_no_message(body):
    with pytest.raises(BadMessage):
        decode(body, KINDS, FIELDS, came=0)


def test_every_message_has_the_checks_of_exactly_its_fields():
    for message in KINDS.values():
        assert tuple(FIELDS[message]) == message._fields


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"slice": 1}, "slice is not a text"),
        ({"slice": ""}, "slice is not a text of 1"),
        ({"slice": "x" * 201}, "slice is not a text of 1 to 200"),
        ({"slice": "a\0b"}, "slice is not a text"),
        ({"slice": "\ud800"}, "slice is not a text"),
        ({"also": 1}, "unknown field 'also'"),
        ({"kind": "launch"}, "attempt is missing"),
        ({"kind": "fork"}, "no such kind"),
        ({"kind": ["kill"]}, "no such kind"),
        ({"request": -1}, "request is not"),
        ({"request": 1.0}, "request is not"),
        ({"request": REQUEST_MAX + 1}, "request is not"),
        ({"descriptors": True}, "descriptors is not"),
        ({"descriptors": 251}, "descriptors is not"),
        ({"descriptors": 2}, "says 2 descriptors, 0 came"),
    ],
)
def test_a_refusal_says_what_is_wrong(change, said):
    message = {"kind": "kill", "request": 7, "descriptors": 0, "slice": "s"} | change
    with pytest.raises(BadMessage, match=said) as refused:
        decode(json.dumps(message).encode(), TO_SPAWNER, FIELDS, came=0)
    assert refused.value.request == (0 if "request" in change else 7)


def test_an_environment_is_limited_in_names_and_in_bytes():
    def launch(environment):
        return Launch("s", 1, "/", environment, 0)

    many = {str(number): "" for number in range(ENVIRONMENT_MAX + 1)}
    with pytest.raises(BadMessage, match="environment"):
        decode(encode("launch", launch(many)), TO_SPAWNER, FIELDS, came=0)
    with pytest.raises(BadMessage) as refused:
        encode("launch", launch({"A": "x" * MESSAGE_BYTES_MAX}))
    assert refused.value.code == "too_big"
    with pytest.raises(BadMessage, match="not Unicode"):
        encode("kill", Kill("\udcff"))


def test_a_message_without_fields_is_one_too():
    assert decode(encode("list", List(), request=1), TO_SPAWNER, FIELDS, came=0) == (1, List())


def test_numbers_may_be_whole_where_they_may_be_broken_and_not_the_other_way():
    exited = Exited("s", 1, "exited", 0, 0, 1, 1, 1, 1, 0)
    assert decode(encode("exited", exited), TO_AGENT, FIELDS, came=0).message == exited
    with pytest.raises(BadMessage, match="maxrss_bytes"):
        decode(encode("exited", exited._replace(maxrss_bytes=1.5)), TO_AGENT, FIELDS, came=0)
    with pytest.raises(BadMessage, match="not a number"):
        decode(encode("exited", exited._replace(wall_s=float("inf"))), TO_AGENT, FIELDS, came=0)


def test_only_libraries_that_slices_need_may_be_preloaded():
    for module in ("pyarrow", "pyarrow.parquet", "polars", "duckdb", "msgspec"):
        assert is_preloadable(module)
    for module in ("os", "pyarrow_evil", ".pyarrow", "pyarrow.", "pyarrow;x", "pyarrow. x", ""):
        assert not is_preloadable(module)
