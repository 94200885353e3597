"""A disk that is full or read-only: told so that people know what to do, nothing published, nothing left, nothing lost.

Run on a filesystem of a megabyte.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from runink.connectors.publishing import publish
from runink.connectors.sinks import open_sink
from runink.dag import Format, Mode, Sink
from runink.errors import Forbidden, RuninkError, Unavailable
from runink.jobs import Ticket
from runink.names import RunId, SliceId
from runink.pipes.batch import Batch

TICKET = Ticket(RunId("01K9ZZZZZZ0000000000000000"), SliceId("bronze"), 1)
SCRIPT = """
set -e
mount -t tmpfs -o size=1m tmpfs "$1/small"
exec "$2" "$3" "$1/small"
"""
NAMES = {
    Format.CSV: "a.csv",
    Format.JSONL: "a.jsonl.zst",
    Format.JSON: "a.json.gz",
    Format.PARQUET: "a.parquet",
    Format.ARROW: "a.arrow",
}


def error_of(call: Callable[[], object]) -> RuninkError:
    with pytest.raises(RuninkError) as caught:
        call()
    return caught.value


def told_when_full(root: Path, kind: Format, name: str) -> None:
    node = Sink("out", "s", f"{kind.value}://{name}", kind, name, mode=Mode.OVERWRITE)
    (root / name).write_text("old")
    writer = open_sink(node, root=root, ticket=TICKET, stdout_fd=None)

    def fill() -> None:
        for _ in range(40):
            writer.write(Batch(pa.record_batch({"a": [os.urandom(100_000)]}), "memory", 0))
        writer.prepare()

    error = error_of(fill)
    assert isinstance(error, Unavailable)
    assert error.code == "disk_full"
    assert error.text == f"{kind.value}://{name} cannot be written: No space left on device"
    assert "free some space" in error.hint
    writer.abort()
    assert [path.name for path in root.iterdir()] == [name]
    assert (root / name).read_text() == "old"
    (root / name).unlink()


def told_when_read_only(root: Path) -> None:
    node = Sink("out", "s", "csv://a.csv", Format.CSV, "a.csv")
    writer = open_sink(node, root=root, ticket=TICKET, stdout_fd=None)
    writer.write(Batch(pa.record_batch({"a": [1]}), "memory", 0))
    prepared = writer.prepare()
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    for call in (
        lambda: publish(prepared),
        lambda: open_sink(node, root=root, ticket=TICKET, stdout_fd=None),
    ):
        error = error_of(call)
        assert isinstance(error, Forbidden)
        assert "read-only" in error.hint
    subprocess.run(["mount", "-o", "remount,rw", str(root)], check=True)
    publish(prepared)
    assert (root / "a.csv").read_text() == "a\n1\n"


def drive(root: Path) -> None:
    for kind, name in NAMES.items():
        told_when_full(root, kind, name)
    told_when_read_only(root)


def test_a_full_or_read_only_disk_is_told_and_harms_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    # Root needs no namespaces to mount, and in a changed root may have none.
    is_root = os.geteuid() == 0
    rights = [] if is_root else ["unshare", "--mount", "--map-root-user"]
    command = [*rights, "sh", "-c", SCRIPT, "sh", str(tmp_path), sys.executable, __file__]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    finally:
        if is_root:
            subprocess.run(["umount", "-l", str(small)], check=False)
    assert ended.returncode == 0, ended.stderr


if __name__ == "__main__":
    drive(Path(sys.argv[1]))
