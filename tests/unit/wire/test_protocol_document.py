"""docs/wire-protocol.md says what is so: its vectors, its kinds and their fields, its numbers."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from runink.actors.followers import PAUSE_S
from runink.actors.reasoning import GANGS_MAX
from runink.clients.cluster import GOVERNANCE, RUNS
from runink.clients.run_requests import (
    DeskRequest,
    Follow,
    GovernanceRequest,
    RunRequest,
    RunView,
)
from runink.errors import RuninkError
from runink.governance.lineage import Lineage
from runink.names import RunId
from runink.relay.ends import WINDOW_BYTES
from runink.relay.switchboard import JOIN_S
from runink.runs.records import RunRecord
from runink.runtime.envelope import Request, answer_type
from runink.scheduling.answers import Replayed, WhyAnswer
from runink.scheduling.what_if import CHANGES_MAX
from runink.wire import messages, stream_frames
from runink.wire.codec import DEPTH_MAX, ITEMS_MAX, VALUES_MAX, convert, decode, encode
from runink.wire.frames import FRAME_BYTES_MAX, FrameReader, frame
from runink.wire.link import STALL_S
from runink.wire.messages import Close, frame_of
from runink.wire.session import HANDSHAKE_S, HELLO_BYTES_MAX, PING_S, SILENT_S
from runink.wire.stream_frames import CONTROL_BYTES_MAX, DATA_BYTES_MAX, Data, data_head
from runink.wire.streams import LIMITS, STREAMS_MAX

DOCUMENT = (Path(__file__).parents[3] / "docs/wire-protocol.md").read_text()
VECTORS = re.findall(r"^\| (\w+)\((.*)\) \| `([0-9a-f]+)` \|$", DOCUMENT, re.MULTILINE)
REQUESTS = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|", DOCUMENT, re.MULTILINE)
ANSWERS = {"RunView": RunView, "Lineage": Lineage, "WhyAnswer": WhyAnswer, "Replayed": Replayed}
RECORD = "the run's record"
KINDS = re.findall(r"^\| (\d+) \| (\w+) \|(.*?)\| (?:who|both)", DOCUMENT, re.MULTILINE)


@pytest.mark.parametrize(("kind", "fields", "vector"), VECTORS)
def test_a_vector_is_the_frame_that_it_says(kind: str, fields: str, vector: str):
    data = bytes.fromhex(vector)
    reader = FrameReader()
    reader.feed(data)
    body = reader.next()
    assert body is not None
    assert reader.is_between_frames
    value = decode(body)
    of_stream = stream_frames.KINDS.get(value[0])
    read = frame_of(value) if of_stream is None else convert(value, of_stream)
    assert type(read).__name__ == kind
    said = ast.literal_eval(f"[{fields}]")
    assert decode(body)[1 : 1 + len(said)] == said
    if isinstance(read, Data):
        assert data_head(read.stream, len(read.data)) + read.data == data
    else:
        assert frame(encode(read)) == data


def test_there_is_a_vector_for_every_kind():
    assert len(VECTORS) == len(KINDS) == 15


@pytest.mark.parametrize(("number", "name", "fields"), KINDS)
def test_the_kinds_have_the_fields_that_are_listed(number: str, name: str, fields: str):
    kind = getattr(messages if int(number) <= Close.__struct_config__.tag else stream_frames, name)
    assert kind.__struct_config__.tag == int(number)
    listed = [re.sub(r" \(.*\)", "", one).strip("[] ") for one in fields.split(",")]
    assert [one for one in listed if one] == list(kind.__struct_fields__)
    optional = [one.strip("[] ") for one in fields.split(",") if "[" in one]
    defaults = msgspec.structs.fields(kind)
    assert optional == [one.name for one in defaults if not one.required]


def table(head: str) -> dict[str, str]:
    """Return the second column by the first one of the table that begins with these words."""
    rows = DOCUMENT.partition(f"\n| {head} |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| (\w+) \| (.*?) \|", rows, re.MULTILINE))


def check_fields(kind: type, said: str) -> None:
    fields = msgspec.structs.fields(kind)
    named = [one.encode_name if one.required else f"[{one.encode_name}]" for one in fields]
    assert said.split(", ") == named, kind


def test_every_request_about_runs_is_described_with_its_fields_and_its_answer() -> None:
    asked = {RUNS: get_args(RunRequest), GOVERNANCE: get_args(GovernanceRequest)}
    kinds = {
        (target, kind.__name__): kind
        for target, several in asked.items()
        for kind in several
        if issubclass(kind, Request)
    }
    assert {(target, name) for target, name, _, _ in REQUESTS} == kinds.keys()
    for target, name, fields, answer in REQUESTS:
        kind = kinds[target, name]
        check_fields(kind, fields)
        assert answer_type(kind) is (RunRecord if answer == RECORD else ANSWERS[answer])
        assert f"**{name}**" in DOCUMENT
    answers = table("answer")
    assert answers.keys() == ANSWERS.keys()
    for name, kind in ANSWERS.items():
        fields = msgspec.structs.fields(kind)
        assert answers[name].split(", ") == [one.encode_name for one in fields]


def test_what_agents_tell_of_runs_is_described_with_its_fields() -> None:
    told = [kind for kind in get_args(DeskRequest) if not issubclass(kind, Request)]
    said = table("message")
    assert said.keys() == {kind.__name__ for kind in told}
    for kind in told:
        check_fields(kind, said[kind.__name__])


def test_the_numbers_are_the_codes_numbers():
    for text in (
        f"{HANDSHAKE_S:g} seconds at most",
        f"{HELLO_BYTES_MAX >> 10} KiB at most",
        f"nothing for {PING_S:g} seconds sends",
        f"nothing for {SILENT_S:g} seconds gives",
        f"reads nothing for {STALL_S:g} seconds",
        f"{FRAME_BYTES_MAX >> 20} MiB unless",
        f"{VALUES_MAX:,} values",
        f"{ITEMS_MAX:,} items",
        f"deeper than {DEPTH_MAX}",
        f"[{LIMITS.frame_bytes_max}, {LIMITS.asks_max}, {LIMITS.tells_max}]",
        f"At most {STREAMS_MAX:,} are open",
        f"kept for {JOIN_S:g} seconds",
        f"{GANGS_MAX} at most; with `slice`",
        f"{CHANGES_MAX} texts at most",
        f"at most {1 / PAUSE_S:g} times a second",
        f"({Follow(RunId('')).wait_s:g}, if not said)",
        f"gives {WINDOW_BYTES >> 20} MiB",
        f"1 to {DATA_BYTES_MAX:,} bytes, every other frame {CONTROL_BYTES_MAX >> 10} KiB",
    ):
        assert text in re.sub(r"\s+", " ", DOCUMENT), text


def test_every_kind_of_error_is_listed():
    def names(root: type) -> set[str]:
        ours = {root.__name__} if root.__module__ == RuninkError.__module__ else set()
        return ours.union(*map(names, root.__subclasses__()))

    table = DOCUMENT.partition("| kind | meaning |")[2].partition("\n\n")[0]
    listed = {
        name
        for row in re.findall(r"^\| ([A-Z].*?) \|", table, re.MULTILINE)
        for name in row.split(", ")
    }
    assert listed == names(RuninkError) - {"RuninkError"}
