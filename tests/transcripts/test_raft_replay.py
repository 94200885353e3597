"""The replay of transcripts itself: how files are read and written, what counts as different, and what people are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from runink.testing.raft_transcripts import main, outputs, without_log_lines
from runink.testing.transcript import Argument, TranscriptError, parsed

TEXT = """\
# What it pins.

# And more.
first 1 key=value several=(a, b,c) none=()
input
second line
----
out

second \\
  two
----
----
a

b
----
----

# At the end.
"""


def test_a_transcript_is_its_commands_with_arguments_input_and_output() -> None:
    first, second = parsed(TEXT).directives
    assert (first.line, first.command) == (4, "first")
    assert first.arguments == (
        Argument("1"),
        Argument("key", ("value",)),
        Argument("several", ("a", "b", "c")),
        Argument("none"),
    )
    assert (first.input, first.expected) == ("input\nsecond line", "out")
    assert (second.command, second.words(), second.expected) == ("second", ["two"], "a\n\nb")


def test_a_transcript_is_rewritten_with_all_that_stands_around_it() -> None:
    transcript = parsed(TEXT)
    assert transcript.rewritten(["out", "a\n\nb"]) == TEXT
    again = parsed(transcript.rewritten(["x\n\ny", "z"]))
    assert [one.expected for one in again.directives] == ["x\n\ny", "z"]


@pytest.mark.parametrize("text", ["no separator", "command\n----\n----\nnever closed\n"])
def test_a_text_that_is_no_transcript_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(TranscriptError, match=r"line [13]: no"):
        parsed(text)


def test_log_lines_are_no_output_and_nothing_is_ok() -> None:
    assert without_log_lines("INFO 1 became follower\n  DEBUG indented\nWARN x") == "ok"
    assert without_log_lines("") == without_log_lines("ok\n") == "ok"
    assert without_log_lines("> 1\n  INFO x\n  INFORMATION\n") == "> 1\n  INFORMATION"


def ran(*commands: str) -> list[str]:
    """Return what commands for a group of raw nodes print."""
    return list(outputs(parsed("\n\n".join(f"{command}\n----" for command in commands))))


THREE = "add-nodes 3 voters=(1,2,3) index=10"


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("sing 1", "unknown command"),
        ("campaign 9", "there is no node 9"),
        ("campaign one", "cannot be replayed: no number: one"),
        ("campaign", "cannot be replayed: campaign takes 1 nodes"),
        ("propose 1", "cannot be replayed: propose takes a node and one word more"),
        ("add-nodes 1 voters=(4) index=1", "index must be specified as > 1 due to bootstrap"),
        ("add-nodes 1 prevote=perhaps", "cannot be replayed: prevote is true or false, not perhaps"),
        ("deliver-msgs 1 drop=1", "cannot be replayed: can't both deliver and drop messages to 1"),
        ("deliver-msgs 1 type=MsgNone", "cannot be replayed: unknown message type MsgNone"),
        ("deliver-msgs 1", "no messages"),
        ("log-level loud", "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]"),
        ("stabilize log-level=loud", "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]"),
        ("compact 1 5", "requested index is unavailable due to compaction"),
        ("compact 1 50", "requested entry at index is unavailable"),
        ("raft-log 1", "log is empty: first index=11, last index=10"),
        ("process-append-thread 1", "no append work to perform"),
        ("process-apply-thread 1 2", "> 1 processing apply thread\n  no apply work to perform\n> 2 processing apply thread\n  no apply work to perform"),
        ("process-ready 1", "<empty Ready>"),
        ("propose-conf-change 1\nv", "unknown token v"),
        ("status 1", "ok"),  # a follower knows nothing of the others
        ("_breakpoint", "ok"),
    ],
)  # fmt: skip
def test_a_command_says_what_is_wrong_with_it(command: str, printed: str) -> None:
    assert ran(THREE, command)[-1] == printed


def test_a_quiet_group_prints_its_errors_only() -> None:
    printed = ran(THREE, "log-level none", "raft-state", "propose 1 x", "log-level info")
    assert printed[1:] == ["ok", "ok", "raft proposal dropped", "ok"]


def test_a_crash_ends_the_transcript_and_is_what_its_command_gives() -> None:
    printed = ran(THREE, "send-snapshot 1 2", "tick 1 count=x", "raft-state")
    assert len(printed) == 3
    assert printed[-1].startswith("crashed:\n")


GOOD = "vote cfg=(1) votes=(y)\n----\nVoteWon\n"
BAD = "vote cfg=(1) votes=(n)\n----\nVoteWon\n"


def test_equal_transcripts_end_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "good.txt").write_text(GOOD)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 transcripts, 1 commands: 1 equal, 0 differ\n"


def test_a_difference_is_shown_and_is_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.txt").write_text(BAD)
    (tmp_path / "good.txt").write_text(GOOD)
    (tmp_path / "none.txt").write_text("vote\n")
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "bad.txt:1: vote" in out
    assert "    -VoteWon\n    +VoteLost\n" in out
    assert "none.txt: line 1: no ----" in out
    assert out.endswith("3 transcripts, 2 commands: 1 equal, 2 differ\n")


def test_a_command_that_never_ran_is_a_difference(tmp_path: Path) -> None:
    (tmp_path / "cut.txt").write_text(
        "simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n\nfly\n----\n"
    )
    assert main([str(tmp_path)]) == 1


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["no-such-folder"]])
def test_without_a_folder_of_transcripts_it_says_how_to_call_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "usage: python -m runink.testing.raft_transcripts DIR" in capsys.readouterr().err
