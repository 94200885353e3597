"""What a slice is told: it comes back as it was written, other versions are refused, and nothing that shows a document shows its keys."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace as changed
from rich.console import Console
from rich.pretty import pprint
from runink.actors.launching import Workplace
from runink.dag import Format, Link, Sink, Source
from runink.documents import (
    VERSION,
    DocumentBytes,
    SliceDocument,
    SliceSettings,
    decode_document,
    encode_document,
)
from runink.errors import Broken, Refused
from runink.jobs import ChainJob, CompareJob, PublishJob, SliceJob, Ticket
from runink.masking_keys import MaskingKey
from runink.names import HerdName, RunId, SliceId
from runink.networks import Network
from runink.stores import Keys, S3Store, Stores
from runink.testing.contexts import SOME

SECRET = "wJalrXUtnFEMI"
TICKET = Ticket(RunId("0" * 26), SliceId("bronze"), 2)
STORES = Stores(
    S3Store("https://s3.example.org", "eu-north-1", Keys("AKIAEXAMPLE", SECRET, f"t-{SECRET}"))
)
NODES = (
    Source("s.in", "s", "csv://in.csv", Format.CSV, "in.csv"),
    Sink("s.out", "s", "csv://out.csv", Format.CSV, "out.csv"),
)
CHAIN = ChainJob(TICKET, "/p", "/b", "/s", NODES, (Link("s.in", "s.out"),))
CONTEXT = changed(
    SOME,
    herd=HerdName("analytics"),
    attempt=2,
    parameters={"day": "2013-07-04"},
    settings=SliceSettings(Network.EGRESS, 500, 1 << 30, 0, 64 << 20, 0, 4000, 8 << 30),
)
HERD_KEY = b"the herd's key, which nobody sees"
DOCUMENT = SliceDocument(
    job=CHAIN, context=CONTEXT, stores=STORES, masking_key=MaskingKey(HERD_KEY)
)


@pytest.mark.parametrize(
    "job",
    [CHAIN, PublishJob(TICKET, "/p", tickets=(TICKET,)), CompareJob(TICKET, "/p", (), (), ())],
)
def test_a_document_comes_back_as_it_was_written(job: SliceJob) -> None:
    document = changed(DOCUMENT, job=job)
    assert decode_document(encode_document(document)) == document


def test_what_is_as_it_is_by_default_is_left_out_but_the_version_never() -> None:
    plain = msgspec.msgpack.decode(encode_document(SliceDocument(job=CHAIN, context=SOME)))
    assert list(plain) == ["version", "job", "context"]
    assert plain["version"] == VERSION
    assert not {"inputs", "cpus", "watched"} & set(plain["job"])
    assert not {"parameters", "settings"} & set(plain["context"])


def test_another_version_is_refused_whatever_else_it_holds() -> None:
    for version, more in [(VERSION + 1, {"more": 1}), (0, {})]:
        data = msgspec.msgpack.encode({"version": version, **more})
        with pytest.raises(Refused) as caught:
            decode_document(data)
        assert caught.value.code == "document_version"
        assert f"version {VERSION}" in caught.value.text
        assert f"version {version}" in caught.value.text
        assert "stop the node" in caught.value.hint


def wrong(**fields: object) -> bytes:
    plain = msgspec.to_builtins(DOCUMENT, builtin_types=(bytes,))
    return msgspec.msgpack.encode({**plain, **fields})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "cannot be read"),
        (encode_document(DOCUMENT)[:-1], "cannot be read"),
        (wrong(unknown=SECRET), "unknown"),
        (wrong(stores={"s3": {"keys": {"secret": 1, "id": SECRET}}}), "$.stores.s3.keys.secret"),
        (wrong(stores={"s3": {SECRET: 1}}), "cannot be read"),
        (wrong(context={**msgspec.to_builtins(CONTEXT), "traceparent": SECRET}), "traceparent"),
    ],
)  # fmt: skip
def test_what_is_no_document_is_told_without_what_stands_in_it(data: bytes, says: str) -> None:
    with pytest.raises(Broken) as caught:
        decode_document(data)
    assert caught.value.code == "document_malformed"
    assert says in caught.value.text
    assert caught.value.__suppress_context__
    if SECRET not in caught.value.text:
        return
    # A field's name, which nobody but an agent writes, is told; a value never is.
    assert f"field `{SECRET}`" in caught.value.text


def test_nothing_that_shows_a_document_shows_its_keys(tmp_path: Path) -> None:
    data = encode_document(DOCUMENT)
    console = Console(file=io.StringIO(), width=400)
    pprint(DOCUMENT, console=console, expand_all=True)
    shown = [
        repr(DOCUMENT),
        str(STORES),
        f"{STORES.s3.keys}",
        repr(data),
        str(data),
        f"{data!r:>10}",
        repr(Workplace(tmp_path, stores=STORES)),
        console.file.getvalue(),  # type: ignore[attr-defined] # it is the StringIO
    ]
    for text in shown:
        assert SECRET not in text
        assert "AKIAEXAMPLE" not in text
        assert HERD_KEY.decode() not in text
    assert SECRET.encode() in data
    assert HERD_KEY in data
    assert "s3.example.org" in repr(STORES)


def test_a_written_document_is_bytes_like_others() -> None:
    data = encode_document(DOCUMENT)
    assert isinstance(data, DocumentBytes)
    assert bytes(data) == data
    assert repr(data) == f"<document of {len(data)} bytes>"
