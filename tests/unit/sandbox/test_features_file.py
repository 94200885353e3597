"""What a spawner tells beside its socket."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.capabilities import Told
from runink.sandbox.cgroups import Layout
from runink.sandbox.features import SUFFIX, forget, of_limits, read, tell, written

FOUND = Told({"landlock": "abi 6"}, {"seccomp": "ungewöhnlich"})


def test_what_several_tell_is_read_together_and_the_last_word_counts(tmp_path: Path) -> None:
    socket = str(tmp_path / "socket")
    tell(socket, FOUND)
    tell(socket, Told({"limit.cpu": "v2", "landlock": "abi 7"}, {}))
    assert read(socket) == Told({"landlock": "abi 7", "limit.cpu": "v2"}, FOUND.missing)
    assert (tmp_path / f"socket{SUFFIX}").stat().st_mode & 0o777 == 0o600
    forget(socket)
    forget(socket)
    assert read(socket) == Told({}, {})
    assert list(tmp_path.iterdir()) == []


def test_who_cannot_tell_goes_on(tmp_path: Path) -> None:
    tell(str(tmp_path / "not" / "there"), FOUND)


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[{}]", b"[{}, 1]", b"[{}, {}", b"\xff", b"[[], {}]"]
)
def test_what_stood_before_a_line_that_says_nothing_holds(tmp_path: Path, line: bytes) -> None:
    (tmp_path / f"socket{SUFFIX}").write_bytes(written(FOUND) + line + b"\n")
    assert read(str(tmp_path / "socket")) == FOUND


def test_limits_that_nothing_enforces_are_missing() -> None:
    found = of_limits(Layout().told() | {"memory": "v2", "oom": "kernel"})
    assert found.there == {"limit.memory": "v2", "limit.memory.tree": "kernel"}
    assert found.missing.keys() == {"limit.swap", "limit.cpu", "limit.processes"}
