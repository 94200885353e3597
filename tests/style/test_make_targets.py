"""`make test` runs every test: each folder of tests is named in the Makefile, once."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_folder_with_tests_is_run_once():
    text = (ROOT / "Makefile").read_text()
    named = [
        folder
        for line in re.findall(r"^(?:QUICK|WHOLE) := (.*)$", text, re.MULTILINE)
        for folder in line.split()
    ]
    there = {
        f"tests/{path.name}"
        for path in (ROOT / "tests").iterdir()
        if path.is_dir() and any(path.rglob("test_*.py"))
    }
    assert sorted(named) == sorted(there)


def test_what_is_run_beside_is_there():
    text = (ROOT / "Makefile").read_text()
    (names,) = re.findall(r"^BESIDE := .*,(.*)\)$", text, re.MULTILINE)
    named = names.split()
    assert named == sorted(set(named))
    assert all((ROOT / f"tests/cluster/test_{one}.py").exists() for one in named)
