"""Which logs `runi logs` prints, and from which node it fetches each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_world import RUN, a_run, a_slice
from runink.cli.logs import Printer, check_attempt
from runink.clients.kept_logs import Chosen, places_of
from runink.errors import NotFound
from runink.names import NodeId
from runink.observe.slice_logs import SliceLog, Stream, log_path
from runink.runs.attempts import Earlier
from runink.runs.records import SliceState

W1, W2 = NodeId("w1"), NodeId("w2")
ONE = a_slice("one", SliceState.RUNNING, attempt=3, node=W2, earlier=(Earlier(2, W1),))
TWO = a_slice("two", SliceState.RUNNING, node=W2)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A state folder with a line of each attempt."""
    for one in (ONE, TWO):
        for attempt in range(1, one.attempt + 1):
            path = log_path(tmp_path / "runs" / RUN, one.slice, attempt)
            path.parent.mkdir(parents=True, exist_ok=True)
            log = SliceLog(path)
            log.write(Stream.STDOUT, [f"{one.slice} {attempt}"], at_ms=attempt)
            log.close()
    return tmp_path


@pytest.mark.parametrize(
    ("chosen", "printed"),
    [
        (Chosen(), ["one 1", "two 1", "one 2", "one 3"]),
        (Chosen("one"), ["one 1", "one 2", "one 3"]),
        (Chosen(attempt=1), ["one 1", "two 1"]),
        (Chosen("one", 2), ["one 2"]),
        (Chosen("two", 2), []),
    ],
)
def test_lines_of_a_slice_and_an_attempt_are_printed_with_their_nodes(
    kept: Path, capsys: pytest.CaptureFixture[str], chosen: Chosen, printed: list[str]
) -> None:
    printer = Printer(a_run(), chosen, as_json=True)
    printer.reads(kept)
    printer.print_new([ONE, TWO])
    assert printer.end() == len(printed)
    rows = json.loads(capsys.readouterr().out)
    assert [row["text"] for row in rows] == printed
    nodes = {"one 1": None, "one 2": W1, "one 3": W2, "two 1": W2}
    assert all(row["node"] == nodes[row["text"]] for row in rows)


def test_each_attempt_is_asked_of_its_node_and_only_one_too_long_ago_of_all() -> None:
    wanted, anywhere = places_of([ONE, TWO], Chosen())
    assert wanted == {W1: ["one.2.jsonl"], W2: ["one.3.jsonl", "two.1.jsonl"]}
    assert anywhere == ["one.1.jsonl"]
    assert places_of([ONE, TWO], Chosen(attempt=2)) == ({W1: ["one.2.jsonl"]}, [])
    waits = a_slice("one", SliceState.PENDING, attempt=2, node=None)
    assert places_of([waits], Chosen()) == ({}, ["one.1.jsonl"])


def test_an_attempt_that_there_was_not_is_told_with_the_last_one() -> None:
    check_attempt(Chosen(attempt=3), [ONE, TWO])
    for chosen in (Chosen(attempt=4), Chosen("two", 2)):
        with pytest.raises(NotFound) as caught:
            check_attempt(chosen, [ONE, TWO])
        assert caught.value.code == "no_such_attempt"
    assert caught.value.text == "slice two has no attempt 2"
    assert caught.value.hint == "the last was attempt 1"
