"""Replays transcripts of a Raft core against ours and shows where it behaves differently.

    python -m runink.testing.raft_transcripts DIR

Every *.txt beneath DIR is a transcript: of the quorum arithmetic, of the membership arithmetic, or of a group of raw nodes, by the commands in it.
Log lines (INFO, DEBUG, WARN, ERROR, FATAL ...) are another core's own words: they are left out on both sides, and what prints nothing else equals `ok`.
"""

from __future__ import annotations

import difflib
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from runink.testing import raft_confchange, raft_quorum
from runink.testing.raft_confchange import MembershipArithmetic
from runink.testing.raft_interaction import Interaction
from runink.testing.raft_quorum import QuorumArithmetic
from runink.testing.transcript import Directive, Transcript, TranscriptError, parsed

USAGE: Final = "usage: python -m runink.testing.raft_transcripts DIR\nReplays every *.txt beneath DIR, shows what differs, and ends with 1 if anything does."
EXIT_DIFFERS: Final = 1
EXIT_USAGE: Final = 2
_LOG_LINE: Final = re.compile(r"\s*(DEBUG|INFO|WARN|WARNING|ERROR|FATAL|PANIC)( |$)")


class Machine(Protocol):
    """What a transcript's commands are given to, one after the other."""

    def run(self, asked: Directive) -> str: ...


@dataclass(frozen=True, slots=True)
class Difference:
    """A command that printed something else than the transcript says."""

    path: Path
    directive: Directive
    got: str

    def told(self) -> str:
        head = f"{self.path}:{self.directive.line}: {self.directive.command}"
        expected, got = without_log_lines(self.directive.expected), without_log_lines(self.got)
        lines = difflib.unified_diff(
            expected.split("\n"), got.split("\n"), "expected", "got", lineterm="", n=2
        )
        return "\n".join([head, *(f"    {line}" for line in lines)])


def machine_for(transcript: Transcript) -> Machine:
    """Return what understands a transcript's commands."""
    commands = {directive.command for directive in transcript.directives}
    if commands <= raft_quorum.COMMANDS:
        return QuorumArithmetic()
    if commands <= raft_confchange.COMMANDS:
        return MembershipArithmetic()
    return Interaction()


def outputs(transcript: Transcript) -> Iterator[str]:
    """Yield what each command prints. A command that crashes prints the crash, and is the last one."""
    machine = machine_for(transcript)
    for directive in transcript.directives:
        try:
            yield machine.run(directive).rstrip("\n")
        except TranscriptError as error:
            yield f"cannot be replayed: {error}"
            return
        except Exception:  # noqa: BLE001 - whatever the core crashes with is what this command gives; the other files are replayed
            yield f"crashed:\n{traceback.format_exc()}"
            return


def differences(path: Path) -> tuple[int, list[Difference]]:
    """Replay a transcript; return how many commands were run, and what differs. Raises TranscriptError."""
    transcript = parsed(path.read_text(encoding="utf-8"))
    found = []
    count = 0
    for directive, got in zip(transcript.directives, outputs(transcript), strict=False):
        count += 1
        if without_log_lines(got) != without_log_lines(directive.expected):
            found.append(Difference(path, directive, got))
    return count, found


def without_log_lines(text: str) -> str:
    """Return what is compared of a command's output."""
    lines = [line.rstrip() for line in text.split("\n") if not _LOG_LINE.match(line)]
    return "\n".join(lines).strip("\n") or "ok"


def main(arguments: Sequence[str]) -> int:
    """Replay the folder that is named and print what differs; return the exit code."""
    folder = Path(arguments[0]) if len(arguments) == 1 else None
    paths = sorted(folder.rglob("*.txt")) if folder else []
    if folder is None or not paths:
        reason = f"There is no *.txt beneath {folder}.\n" if folder else ""
        sys.stderr.write(f"{reason}{USAGE}\n")
        return EXIT_USAGE
    commands = differing = 0
    for path in paths:
        try:
            count, found = differences(path)
        except TranscriptError as error:
            sys.stdout.write(f"{path}: {error}\n\n")
            differing += 1
            continue
        commands += count
        differing += bool(found)
        for difference in found:
            sys.stdout.write(f"{difference.told()}\n\n")
    sys.stdout.write(
        f"{len(paths)} transcripts, {commands} commands: "
        f"{len(paths) - differing} equal, {differing} differ\n"
    )
    return EXIT_DIFFERS if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
