"""Rules that documents say a test pins, and faults that a test is said to find: the tests are there, and the faults can still be planted."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

from house_files import ROOT, files

NAMED = re.compile(r"`(?P<file>[\w/]*?(?P<module>test_\w+\.py))::(?P<test>test_\w+)`")


def functions_by_module() -> dict[str, set[str]]:
    """Return the names of tests in each test module; modules have names of their own."""
    return {
        file.path.rsplit("/", 1)[-1]: {
            node.name
            for node in ast.parse(file.text).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        for file in files()
        if file.path.startswith("tests/") and file.is_python
    }


def test_tests_that_documents_name_are_there() -> None:
    known = functions_by_module()
    named = [
        (file.path, match)
        for file in files()
        if file.path.startswith("docs/internals/")
        for match in NAMED.finditer(file.text)
    ]
    assert len(named) > 100, "the tables have moved"
    missing = [
        f"{path}: {match[0]}"
        for path, match in named
        if match["test"] not in known.get(match["module"], ())
    ]
    assert not missing, "\n".join(missing)


def test_every_planted_fault_applies_still() -> None:
    """Its text is found once, and its test is there."""
    command = [sys.executable, str(ROOT / "scripts" / "mutations.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_page_of_planted_faults_holds_all_of_them_killed() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "mutations.py"), "--list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    names = {line.split(maxsplit=1)[1] for line in listed.stdout.splitlines()}
    page = (ROOT / "docs" / "internals" / "mutations.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.endswith("| killed |")]
    assert {row.split(" | ")[0].removeprefix("| ") for row in rows} == names
