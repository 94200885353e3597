"""Which logs are wanted of a run, and which node keeps each."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from cli_world import a_slice
from runink.clients.kept_logs import Chosen
from runink.errors import NotFound
from runink.names import NodeId
from runink.runs.attempts import Earlier
from runink.runs.records import SliceRecord, SliceState
from runink.services.log_files import files_of
from runink.services.logs import check_chosen

W1, W2 = NodeId("w1"), NodeId("w2")
ONE = a_slice("one", SliceState.RUNNING, attempt=3, node=W2, earlier=(Earlier(2, W1),))
TWO = a_slice("two", SliceState.RUNNING, node=W2)


def places_of(
    slices: Iterable[SliceRecord], chosen: Chosen
) -> tuple[dict[NodeId, list[str]], list[str]]:
    """Return the names of logs by the nodes that keep them, and those of which nobody knows where they are."""
    wanted: dict[NodeId, list[str]] = {}
    anywhere: list[str] = []
    for file in files_of(slices, chosen):
        names = anywhere if file.node is None else wanted.setdefault(file.node, [])
        names.append(file.name)
    return wanted, anywhere


def test_each_attempt_is_asked_of_its_node_and_only_one_too_long_ago_of_all() -> None:
    wanted, anywhere = places_of([ONE, TWO], Chosen())
    assert wanted == {W1: ["one.2.jsonl"], W2: ["one.3.jsonl", "two.1.jsonl"]}
    assert anywhere == ["one.1.jsonl"]
    assert places_of([ONE, TWO], Chosen(attempt=2)) == ({W1: ["one.2.jsonl"]}, [])
    waits = a_slice("one", SliceState.PENDING, attempt=2, node=None)
    assert places_of([waits], Chosen()) == ({}, ["one.1.jsonl"])


def test_an_attempt_that_there_was_not_is_told_with_the_last_one() -> None:
    check_chosen(Chosen(attempt=3), [ONE, TWO])
    for chosen in (Chosen(attempt=4), Chosen("two", 2)):
        with pytest.raises(NotFound) as caught:
            check_chosen(chosen, [ONE, TWO])
        assert caught.value.code == "no_such_attempt"
    assert caught.value.text == "slice two has no attempt 2"
    assert caught.value.hint == "the last was attempt 1"
