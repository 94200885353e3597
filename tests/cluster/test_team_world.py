"""What tests with several machines say when one of these ends by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from team_world import check_lives


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("echo no port >&2; exit 2", ["node g ended with exit code 2", "g.log: no port"]),
        ("kill -9 $$", ["node g ended by signal 9 (Killed)", "g.log: (empty)"]),
    ],
)
def test_how_a_node_ended_is_said_with_all_logs_be_they_empty(
    tmp_path: Path, does: str, says: list[str]
) -> None:
    (tmp_path / "g").mkdir()
    (tmp_path / "g/spawner-g.log").write_text("out of processes")
    with (tmp_path / "g.log").open("wb") as log:
        agent = subprocess.Popen(["sh", "-c", does], stdout=log, stderr=log)
        agent.wait()
    with pytest.raises(AssertionError) as raised:
        check_lives("g", agent, tmp_path)
    for text in (*says, "g/spawner-g.log: out of processes"):
        assert text in str(raised.value)
