"""The tutorial, done as it stands: its commands are run, its edits made, and what it says comes out does."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from runi_project import RUNI

PAGE = Path(__file__).parents[2] / "docs/tutorial.md"
FENCE = re.compile(r"^```(sh|diff)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND_S_MAX = 60


@dataclass
class Reader:
    """Somebody who does what the page says. `folder` is where they are."""

    folder: Path
    path: str
    done: list[str] = field(default_factory=list)

    def shell(self, block: str) -> None:
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            self.done.append(command)
            if command.startswith("cd "):
                self.folder /= command.removeprefix("cd ")
                continue
            ran = subprocess.run(
                ["sh", "-c", command],
                cwd=self.folder,
                env={"PATH": self.path},
                capture_output=True,
                text=True,
                timeout=COMMAND_S_MAX,
                check=False,
            )
            fails = any(line.startswith("FAILED") for line in expected.splitlines())
            assert ran.returncode == int(fails), (command, ran.stdout, ran.stderr)
            self.check(command, expected, ran.stdout)

    def check(self, command: str, expected: str, output: str) -> None:
        """What the page shows comes out, in this order."""
        at = 0
        for piece in re.split(r"…|\n", expected):
            found = output.find(piece.strip(), at)
            assert found >= 0, (
                f"{command}: {piece!r} does not come behind {output[:at]!r} in {output!r}"
            )
            at = found + len(piece.strip())

    def edit(self, block: str) -> None:
        name, *lines = block.splitlines()
        path = self.folder / name.removeprefix("--- ")
        old = "\n".join(line[1:] for line in lines if line.startswith("-"))
        new = "\n".join(line[1:] for line in lines if line.startswith("+"))
        text = path.read_text()
        assert text.count(old) == 1, (name, old)
        path.write_text(text.replace(old, new))
        self.done.append(f"edit {path.name}")


def test_the_tutorial_can_be_done_as_it_stands(tmp_path: Path) -> None:
    runi = tmp_path / "bin/runi"
    runi.parent.mkdir()
    runi.write_text(f'#!/bin/sh\nexec {" ".join(RUNI)} "$@"\n')
    runi.chmod(0o755)
    reader = Reader(tmp_path, f"{runi.parent}:/usr/bin:/bin")
    for kind, block in FENCE.findall(PAGE.read_text()):
        reader.shell(block) if kind == "sh" else reader.edit(block)
    assert reader.done.count("runi test") == 5
    assert sum(one.startswith("edit") for one in reader.done) == 4
