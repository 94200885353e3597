"""Files elsewhere whose connection breaks while they are read: told as that, and worth another try."""

from __future__ import annotations

import gzip
import io
import random
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from connector_world import error_of, source
from fsspec.implementations.memory import MemoryFileSystem
from runink.connectors.remote_files import filesystem_of
from runink.dag import Format
from runink.errors import Refused, Unavailable
from runink.stores import NO_STORES

HEALTHY_READS = 1


class ConnectionCut(Exception):
    """No OSError, as what the packages of object stores raise."""


class CutFile(io.BytesIO):
    reads = 0

    def _count(self) -> None:
        self.reads += 1
        if self.reads > HEALTHY_READS:
            raise ConnectionCut("the body ended early")

    def read(self, size: int | None = -1) -> bytes:
        self._count()
        return super().read(size)

    def readinto(self, buffer: Any) -> int:
        self._count()
        return super().readinto(memoryview(buffer)[:64])


class CutFileSystem(MemoryFileSystem):
    protocol = "cut"
    content = b""

    def _open(self, path: str, mode: str = "rb", **_: Any) -> CutFile:
        return CutFile(self.content)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "type": "file", "size": len(self.content)}


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(100))}), file)
    return file.getvalue()


def arrow() -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_stream(file, pa.schema([("a", pa.int64())])) as writer:
        writer.write_table(pa.table({"a": list(range(100))}))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("a", Format.CSV, b"a\n" + b"1\n" * 100),
        ("a.gz", Format.CSV, gzip.compress(random.Random(1).randbytes(2_000).hex().encode())),
        ("a", Format.JSONL, b'{"a": 1}\n' * 100),
        ("a", Format.PARQUET, parquet()),
        ("a", Format.ARROW, arrow()),
    ],
)
def test_a_connection_that_is_cut_in_the_middle_is_unavailable(
    tmp_path: Path, name: str, kind: Format, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("cut", CutFileSystem, clobber=True)
    monkeypatch.setattr(CutFileSystem, "content", content)
    error = error_of(source(f"cut://b/{name}", kind), tmp_path)
    assert isinstance(error, Unavailable)
    assert error.code == "remote_failed"
    assert "the body ended early" in error.text


def test_a_format_that_stands_where_a_store_should_is_told_apart_from_a_missing_package() -> None:
    with pytest.raises(Refused) as told:
        filesystem_of("csv://data/x.csv", NO_STORES)
    assert told.value.code == "remote_scheme"
    assert told.value.hint == "write its path: data/x.csv"
