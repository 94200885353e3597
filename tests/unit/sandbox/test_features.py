"""What a spawner finds out about its machine, and how its launcher says it."""

from __future__ import annotations

import pytest
from runink.capabilities import Told
from runink.sandbox.cgroups import Layout
from runink.sandbox.features import both, of_limits, understood, written

FOUND = Told({"landlock": "abi 6"}, {"seccomp": "ungewöhnlich"})


def test_what_is_written_is_understood() -> None:
    assert written(FOUND).count(b"\n") == 1
    assert understood(written(FOUND)) == FOUND


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[{}]", b"[{}, 1]", b"[{}, {}", b"\xff", b"[[], {}]"]
)
def test_a_line_that_says_nothing_is_told(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        understood(line)


def test_limits_that_nothing_enforces_are_missing() -> None:
    found = of_limits(Layout().told() | {"memory": "v2", "oom": "kernel"})
    assert found.there == {"limit.memory": "v2", "limit.memory.tree": "kernel"}
    assert found.missing.keys() == {"limit.swap", "limit.cpu", "limit.processes", "limit.io"}
    assert both(FOUND, found) == Told(FOUND.there | found.there, FOUND.missing | found.missing)
