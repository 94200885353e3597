"""Messages of the sandbox as bytes: what is written is read again, and whatever else comes is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runink.sandbox.client import SliceWanted
from runink.sandbox.codec import MESSAGE_BYTES_MAX, REQUEST_MAX, BadMessage, decode, encode
from runink.sandbox.inner_protocol import (
    FROM_CELL,
    FROM_FORK_SERVER,
    INNER_FIELDS,
    TO_CELL,
    TO_FORK_SERVER,
    Fork,
)
from runink.sandbox.protocol import (
    BINDS_MAX,
    DATA_DESCRIPTORS_MAX,
    ENVIRONMENT_MAX,
    FIELDS,
    TO_AGENT,
    TO_SPAWNER,
    Exited,
    Kill,
    Launch,
    List,
    is_preloadable,
)

INNER = TO_FORK_SERVER | FROM_FORK_SERVER | TO_CELL | FROM_CELL
KINDS = TO_SPAWNER | TO_AGENT | INNER
EVERY_FIELD = FIELDS | INNER_FIELDS
LAUNCH = SliceWanted("s", 1, "herd", b"", "/").message()
clean = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
names = clean.filter(lambda text: text and "=" not in text and len(text) <= 200)
words = clean.filter(bool)
sizes = st.integers(0, 1 << 31)
launches = st.builds(
    Launch,
    slice=words.map(lambda text: text[:200]),
    attempt=sizes,
    herd=words.map(lambda text: text[:100]),
    cwd=words,
    environment=st.dictionaries(names, clean, max_size=20),
    wall_time_s=st.floats(0, 1e6) | st.integers(0, 1000),
    pipes=st.integers(0, DATA_DESCRIPTORS_MAX),
    binds=st.lists(st.lists(words, min_size=2, max_size=2), max_size=BINDS_MAX),
    cpu_m=sizes,
    memory_bytes=st.integers(0, 1 << 62),
    processes=st.integers(0, 1 << 22),
    scratch_bytes=st.integers(0, 1 << 62),
    network=words.map(lambda text: text[:20]),
    network_policy=clean,
    without=st.lists(words.map(lambda text: text[:40]), max_size=32),
    cpu_weight=st.integers(0, 10_000),
    herd_cpu_m=sizes,
    herd_memory_bytes=st.integers(0, 1 << 62),
    io_bytes_per_s=st.integers(0, 1 << 62),
    place=st.integers(0, 1 << 53),
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
        assert tuple(EVERY_FIELD[message]) == message._fields
    assert {*FIELDS, *INNER_FIELDS} == set(KINDS.values())


def test_what_is_said_inside_is_not_taken_from_an_agent():
    assert not INNER.keys() & (TO_SPAWNER.keys() - {"preload"})


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
        return LAUNCH._replace(environment=environment)

    many = {str(number): "" for number in range(ENVIRONMENT_MAX + 1)}
    with pytest.raises(BadMessage, match="environment"):
        decode(encode("launch", launch(many)), TO_SPAWNER, FIELDS, came=0)
    with pytest.raises(BadMessage) as refused:
        encode("launch", launch({"A": "x" * MESSAGE_BYTES_MAX}))
    assert refused.value.code == "too_big"
    with pytest.raises(BadMessage, match="not Unicode"):
        encode("kill", Kill("\udcff"))


@pytest.mark.parametrize(
    "binds",
    [
        ["/a"],
        [["/a"]],
        [["/a", "ro", "x"]],
        [["/a", 1]],
        [["", "ro"]],
        [["/a", "ro"]] * (BINDS_MAX + 1),
    ],
)
def test_binds_are_so_many_pairs_and_nothing_else(binds):
    launch = LAUNCH._replace(binds=binds)
    with pytest.raises(BadMessage, match="binds is not"):
        decode(encode("launch", launch), TO_SPAWNER, FIELDS, came=0)


def test_a_cell_is_shown_what_its_slice_asked_for_and_what_every_slice_is_shown():
    targets = [f"/{number}" for number in range(2 * BINDS_MAX)]
    kinds = "df" * BINDS_MAX
    fork = Fork(1, True, 0, False, targets, kinds, targets[:BINDS_MAX], [], "/", 0, False, 1)
    body = encode("fork", fork, request=0)
    assert decode(body, TO_FORK_SERVER, INNER_FIELDS, came=0).message == fork


def test_a_message_without_fields_is_one_too():
    assert decode(encode("list", List(), request=1), TO_SPAWNER, FIELDS, came=0) == (1, List())


def test_numbers_may_be_whole_where_they_may_be_broken_and_not_the_other_way():
    exited = Exited("s", 1, "exited", 0, 0, 1, 1, 5, 3, 1, 0, 0, 0, 0, 0, 1, 9, 0)
    assert decode(encode("exited", exited), TO_AGENT, FIELDS, came=0).message == exited
    with pytest.raises(BadMessage, match="memory_bytes_max"):
        decode(encode("exited", exited._replace(memory_bytes_max=1.5)), TO_AGENT, FIELDS, came=0)
    with pytest.raises(BadMessage, match="not a number"):
        decode(encode("exited", exited._replace(wall_s=float("inf"))), TO_AGENT, FIELDS, came=0)


def test_only_libraries_that_slices_need_may_be_preloaded():
    for module in ("pyarrow", "pyarrow.parquet", "polars", "duckdb", "msgspec"):
        assert is_preloadable(module)
    for module in ("os", "pyarrow_evil", ".pyarrow", "pyarrow.", "pyarrow;x", "pyarrow. x", ""):
        assert not is_preloadable(module)
