"""Transcripts of consensus: commands to a group of raw nodes, and what each of them did.

Ours stand in `raft/`; `runink.testing.raft_interaction`, `raft_quorum` and `raft_confchange` list the commands.  Transcripts that etcd's raft made are
replayed as well where they are: in the folder that RUNINK_RAFT_TRANSCRIPTS names, or beside the project.

    RUNINK_REWRITE=1 pytest tests/transcripts/test_raft_transcripts.py    accepts for ours what comes out now
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runink.testing.raft_transcripts import differences, outputs
from runink.testing.transcript import parsed

OURS = Path(__file__).parent / "raft"
BESIDE = Path(__file__).parents[2].parent / "shared" / "raft-transcripts"
NAMED = os.environ.get("RUNINK_RAFT_TRANSCRIPTS", "")
THEIRS = Path(NAMED or BESIDE)
PATHS = [*sorted(OURS.glob("*.txt")), *sorted(THEIRS.rglob("*.txt"))]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_group_does_what_its_transcript_says(path: Path) -> None:
    if os.environ.get("RUNINK_REWRITE") and path.parent == OURS:
        transcript = parsed(path.read_text())
        path.write_text(transcript.rewritten(list(outputs(transcript))))
        return
    _, found = differences(path)
    assert not found, "\n\n".join(difference.told() for difference in found)


def test_every_transcript_of_ours_says_what_it_pins() -> None:
    silent = [path.name for path in OURS.glob("*.txt") if not path.read_text().startswith("# ")]
    assert not silent


def test_a_folder_that_is_named_has_transcripts() -> None:
    assert not NAMED or any(THEIRS.rglob("*.txt"))
