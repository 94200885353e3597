"""docs/wire-protocol.md says what is so: its vectors, its kinds and their fields, its numbers."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import NoneType
from typing import get_args

import msgspec
import pytest
from runink.actors.followers import PAUSE_S
from runink.actors.peers import PeerMessages, SnapshotChunk
from runink.actors.reasoning import GANGS_MAX
from runink.certificates.roles import CONTROL
from runink.clients.api_requests import ApiRequest, Call, Called, Happened, Part
from runink.clients.barn_requests import BarnRequest
from runink.clients.cluster import API, GOVERNANCE, RUNS
from runink.clients.node_files import ReadFiles
from runink.clients.run_requests import (
    DeskRequest,
    Follow,
    GovernanceRequest,
    RunRequest,
    RunView,
)
from runink.config import TRUST_FOLDER
from runink.errors import RuninkError
from runink.governance.lineage import Lineage
from runink.names import RunId
from runink.operations.hearing import FAILURES_BURST, FAILURES_PER_S
from runink.operations.purses import Budget
from runink.relay.ends import WINDOW_BYTES
from runink.relay.switchboard import JOIN_S
from runink.runs.records import RunRecord
from runink.runtime.connections import LINKS_MAX
from runink.runtime.directory import message_types
from runink.runtime.envelope import Request, answer_type
from runink.scheduling.answers import Replayed, WhyAnswer
from runink.scheduling.what_if import CHANGES_MAX
from runink.services import desk, feeds
from runink.services.desk import CALL_S, CALLS_MAX
from runink.services.streams import IDLE_S, STREAMS_OF_PRINCIPAL
from runink.testing.wire_rounds import CODES
from runink.trust.programs import LOOK_S, TOKEN_BYTES_MAX
from runink.trust_files import AUTHORITY
from runink.wire import messages, stream_frames
from runink.wire.arrivals import SMALL_BYTES, UNDER_WAY_MAX
from runink.wire.codec import DEPTH_MAX, ITEMS_MAX, VALUES_MAX, convert, decode, encode, take
from runink.wire.frames import FRAME_BYTES_MAX, HEAD_BYTES, MESSAGE_BYTES_MAX, FrameReader, frame
from runink.wire.link import STALL_S
from runink.wire.messages import Close, frame_of
from runink.wire.pace import FRAME_S, PACE_BYTES
from runink.wire.session import HANDSHAKE_S, HELLO_BYTES_MAX, PING_S, SILENT_S
from runink.wire.sizes import answer_bytes_max_of, bytes_max_of
from runink.wire.strangers import OF_ADDRESS_MAX, STRANGERS_MAX
from runink.wire.stream_frames import CONTROL_BYTES_MAX, DATA_BYTES_MAX, Data, data_head
from runink.wire.streams import LIMITS, STREAMS_MAX
from runink.wire.tls import PROTOCOL

DOCUMENT = (Path(__file__).parents[3] / "docs/wire-protocol.md").read_text()
VECTORS = re.findall(r"^\| (\w+)\((.*)\) \| `([0-9a-f]+)` \|$", DOCUMENT, re.MULTILINE)
REQUESTS = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|", DOCUMENT, re.MULTILINE)
ANSWERS = {"RunView": RunView, "Lineage": Lineage, "WhyAnswer": WhyAnswer, "Replayed": Replayed}
OTHERS = {"Called": Called, "Part": Part, "Happened": Happened}
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
    assert {kind for kind, *_ in VECTORS} == {name for _, name, _ in KINDS}


def test_the_vectors_of_a_program_are_what_its_desk_takes_and_answers():
    messages_of, told = message_types(ApiRequest), set[str]()
    for kind, fields, _ in VECTORS:
        said = ast.literal_eval(f"[{fields}]")
        if kind == "Ask" and said[1] == API:
            told.add(said[2])
            take(said[3], messages_of[said[2]])
        elif kind == "Answer" and isinstance(said[1], dict):
            told.add(type(take(said[1], Part if "part" in said[1] else Called)).__name__)
    assert told == {"Call", "Next", "Leave", "Called", "Part"}


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
    asked = {
        RUNS: get_args(RunRequest),
        GOVERNANCE: get_args(GovernanceRequest),
        API: get_args(ApiRequest),
    }
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
        assert (
            answer_type(kind)
            is (ANSWERS | OTHERS | {RECORD: RunRecord, "nothing": NoneType})[answer]
        )
        assert f"**{name}**" in DOCUMENT
    answers = table("answer")
    assert answers.keys() == ANSWERS.keys()
    for name, kind in ANSWERS.items():
        fields = msgspec.structs.fields(kind)
        assert answers[name].split(", ") == [one.encode_name for one in fields]


def test_what_calls_and_parts_hold_is_described_with_its_fields() -> None:
    said = table("what came of it")
    assert said.keys() == OTHERS.keys()
    for name, kind in OTHERS.items():
        check_fields(kind, said[name])


def test_the_limits_of_calls_and_streams_are_those_of_the_desk() -> None:
    has = Budget()
    for text in (
        f"{TOKEN_BYTES_MAX >> 10} KiB at most. `herd`",
        f"| a token in them | {TOKEN_BYTES_MAX >> 10} KiB |",
        f"({FAILURES_BURST}, and one more each {1 / FAILURES_PER_S:g} seconds)",
        f"closed within {2 * LOOK_S:g} seconds",
        f"call {has.requests_per_s:g} times a second for long, {has.requests_burst} times at once",
        f"fields ({has.received_bytes_per_s / (1 << 20):g} MiB a second, {has.received_bytes_burst >> 20} MiB at once",
        f"less than {desk.SMALL_BYTES >> 10} KiB are let in",
        f"parts ({has.sent_bytes_per_s / (1 << 20):g} MiB a second, {has.sent_bytes_burst >> 20} MiB at once)",
        f"up to {desk.PAUSE_S_MAX:g} seconds, and are not refused",
        f"{CALLS_MAX} calls are carried out at once (`overloaded`), for {CALL_S:g} seconds",
        f"A frame of a Call has {bytes_max_of(Call) >> 20} MiB at most",
        f"after {feeds.SILENT_S:g} seconds at the latest",
        f"{feeds.PART_BYTES >> 10} KiB or {feeds.PART_EVENTS} events wait",
        f"no part is asked for during {IDLE_S:g} seconds",
        f"has {STREAMS_OF_PRINCIPAL} streams over all",
        f"for the name `{CONTROL}`",
        f"`{TRUST_FOLDER}/{AUTHORITY}`",
        f"ALPN `{PROTOCOL}`",
    ):
        assert text in re.sub(r"\s+", " ", DOCUMENT), text


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
        f"| values in a frame, keys of maps included | {VALUES_MAX:,} |",
        f"| items of an array or a map | {ITEMS_MAX:,} |",
        f"| arrays and maps in each other | {DEPTH_MAX} |",
        f"before HelloAck, in both directions | {HELLO_BYTES_MAX >> 10} KiB |",
        f"| a frame's body | {MESSAGE_BYTES_MAX >> 20} MiB |",
        f"| {FRAME_BYTES_MAX >> 20} MiB, or `frame_bytes_max`",
        f"when {HEAD_BYTES >> 10} KiB of it have come",
        f"those of {SMALL_BYTES >> 10} KiB and less not counted | {UNDER_WAY_MAX >> 20} MiB |",
        f"| {FRAME_S:g} s, and a second for each {PACE_BYTES >> 10} KiB |",
        f"whole {FRAME_S:g} seconds after its first byte has come, and a second later for each {PACE_BYTES >> 10} KiB",
        f"| the handshake | {HANDSHAKE_S:g} s |",
        f"not said Hello | {STRANGERS_MAX}, of one address {OF_ADDRESS_MAX} |",
        f"that have | {LINKS_MAX} |",
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


def test_the_large_messages_are_listed():
    said = {
        name: answer
        for names, answer in re.findall(
            r"^\| ([\w, ]+) \| (it|it, and its answer|its answer) \|$", DOCUMENT, re.MULTILINE
        )
        for name in names.split(", ")
    }
    found = {}
    kinds = BarnRequest | DeskRequest | GovernanceRequest | PeerMessages | SnapshotChunk | ReadFiles
    kinds |= ApiRequest
    for name, kind in message_types(kinds).items():
        parts = ("it", bytes_max_of(kind)), ("its answer", answer_bytes_max_of(kind))
        large = [part for part, most in parts if most > MESSAGE_BYTES_MAX]
        if large:
            found[name] = ", and ".join(large)
    assert said == found


def test_every_code_of_a_close_is_listed():
    rows = DOCUMENT.partition("| code of a Close | why |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", rows)) == CODES | {"stopping"}


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
