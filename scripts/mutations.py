"""Plant known faults of consensus, one at a time, and see whether the test that is named for each finds it.

python scripts/mutations.py [--only NAME ...] [--list | --check | --markdown]

A mutant (scripts/mutations/*.toml) is a piece of the project's text and what stands in its place, the test that must fail then, and why it is a fault.  The text
must be found exactly once and the test must exist, or the list has rotted: `--check` says so without running anything.  Each mutant gets a copy of the package and
the tests of its own; the working tree is only read.

    killed      the test failed
    survived    it passed: the rule is pinned by nothing
    broken      it could not be run at all, so it proves nothing

Ends with 1 if a mutant is not killed.  `--markdown` runs all and writes docs/internals/mutations.md.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = ROOT / "scripts" / "mutations"
PAGE = ROOT / "docs" / "internals" / "mutations.md"
COPIED = ("pyproject.toml", "runink", "tests")
TEST_S_MAX = 120  # a mutant that hangs is killed as well: its test did not pass
KILLED, SURVIVED = 1, 0  # what pytest ends with
INTRODUCTION = """# Faults that the tests find

Made by `python scripts/mutations.py --markdown`; the list stands in `scripts/mutations/`.

A test that passes shows little until it has failed. So known faults of consensus, and of what it stands on, are planted, one at a time, in a copy of
the project, and the test that is named beside each must fail. These are unit and property tests: a simulation or a transcript that fails does not say
which rule was broken. A test of the house rules sees to it that every entry still applies.
"""
FIELDS = {"name", "file", "old", "new", "test", "why"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault, and the test that finds it. `subject` is the file of the list in which it stands."""

    subject: str
    name: str
    file: str
    old: str
    new: str
    test: str
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    mutant: Mutant
    word: str
    took_s: float
    output: str


def read_mutants() -> list[Mutant]:
    """Return all mutants, by subject. Raises SystemExit for an entry that is none."""
    found = []
    for path in sorted(LIST.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
            if entry.keys() != FIELDS:
                sys.exit(f"{path}: {entry.get('name')}: a mutant has {', '.join(sorted(FIELDS))}")
            found.append(Mutant(path.stem, **entry))
    return found


# The list itself.


def findings(mutants: Sequence[Mutant]) -> list[str]:
    """Return what is wrong with the list: texts that are not found once, tests that are not there, names that stand twice."""
    wrong = [
        f"{mutant.name}: {text}"
        for mutant in mutants
        for text in (_wrong_text(mutant), _wrong_test(mutant.test))
        if text
    ]
    names = [mutant.name for mutant in mutants]
    return wrong + [f"{name}: stands twice" for name in sorted(set(names)) if names.count(name) > 1]


def _wrong_text(mutant: Mutant) -> str:
    path = ROOT / mutant.file
    if not path.is_file():
        return f"{mutant.file} is not there"
    count = path.read_text(encoding="utf-8").count(mutant.old)
    if count != 1:
        return f"its text is found {count} times in {mutant.file}, not once"
    return "it changes nothing" if mutant.old == mutant.new else ""


def _wrong_test(test: str) -> str:
    name, _, function = test.partition("::")
    path = ROOT / name
    if not path.is_file():
        return f"{name} is not there"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return "" if function in defined else f"{test} is not there"


# Running it.


def run(mutants: Sequence[Mutant]) -> list[Outcome]:
    """Return what became of each, in order; say so as it is known."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        pristine = Path(folder, "pristine")
        copy_tree(ROOT, pristine)
        check_unplanted(pristine, mutants)
        jobs = [
            pool.submit(run_one, mutant, pristine, Path(folder, str(place)))
            for place, mutant in enumerate(mutants)
        ]
        outcomes = []
        for job in jobs:
            outcomes.append(outcome := job.result())
            print(f"{outcome.word:9} {outcome.took_s:5.1f} s  {outcome.mutant.name}", flush=True)
            if outcome.word != "killed":
                print(outcome.output)
        return outcomes


def copy_tree(source: Path, target: Path) -> None:
    target.mkdir()
    for name in COPIED:
        path = source / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
            shutil.copytree(path, target / name, ignore=ignored)
        else:
            shutil.copy(path, target)


def check_unplanted(tree: Path, mutants: Sequence[Mutant]) -> None:
    """Raise SystemExit if a named test fails by itself: it would kill everything."""
    tests = sorted({mutant.test for mutant in mutants})
    code, output = run_tests(tree, tests, within_s=TEST_S_MAX * 5)
    if code != 0:
        sys.exit(f"without a fault planted the tests do not pass:\n{output}")


def run_one(mutant: Mutant, pristine: Path, tree: Path) -> Outcome:
    began_s = time.monotonic()
    copy_tree(pristine, tree)
    planted = tree / mutant.file
    text = planted.read_text(encoding="utf-8")
    planted.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    code, output = run_tests(tree, [mutant.test], within_s=TEST_S_MAX)
    shutil.rmtree(tree)
    word = {KILLED: "killed", SURVIVED: "survived"}.get(code, "broken")
    return Outcome(mutant, word, time.monotonic() - began_s, output)


def run_tests(tree: Path, tests: Sequence[str], *, within_s: float) -> tuple[int, str]:
    """Return what pytest ended with and said. The copy of the package comes before the installed one, and leaves no bytecode behind."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb=short"]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, *tests],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return KILLED, f"no end within {within_s} s"
    return done.returncode, done.stdout + done.stderr


# Telling it.


def page(outcomes: Sequence[Outcome]) -> str:
    """Return the page with the list and the result."""
    killed = sum(outcome.word == "killed" for outcome in outcomes)
    parts = [f"{INTRODUCTION}\n**{killed} of {len(outcomes)} killed.**"]
    for subject in sorted({outcome.mutant.subject for outcome in outcomes}):
        rows = [
            f"| {outcome.mutant.name} | {outcome.mutant.why} | `{outcome.mutant.file}` | `{outcome.mutant.test.removeprefix('tests/')}` | {outcome.word} |"
            for outcome in outcomes
            if outcome.mutant.subject == subject
        ]
        head = "| fault | what follows | planted in | test | |\n|---|---|---|---|---|"
        parts.append(f"## {subject.capitalize()}\n\n" + "\n".join([head, *rows]))
    return "\n\n".join(parts) + "\n"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="plant known faults and run the test of each")
    parser.add_argument("--only", metavar="NAME", nargs="+", help="these mutants")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--list", action="store_true", help="name them, run nothing")
    choice.add_argument("--check", action="store_true", help="say whether all of them still apply")
    choice.add_argument("--markdown", action="store_true", help=f"write {PAGE.name}")
    arguments = parser.parse_args()
    if arguments.only and arguments.markdown:
        parser.error("--markdown is for all of them")
    return arguments


def chosen(mutants: list[Mutant], names: list[str] | None) -> list[Mutant]:
    """Return the mutants of these names, all if there are none. Raises SystemExit for a name that is not on the list."""
    if not names:
        return mutants
    unknown = set(names) - {mutant.name for mutant in mutants}
    if unknown:
        sys.exit(f"not on the list: {', '.join(sorted(unknown))}")
    return [mutant for mutant in mutants if mutant.name in names]


def main() -> None:
    """Do what was asked for."""
    arguments = parse_arguments()
    mutants = chosen(read_mutants(), arguments.only)
    if wrong := findings(mutants):
        sys.exit("\n".join(wrong))
    if arguments.list:
        print("\n".join(f"{mutant.subject:12} {mutant.name}" for mutant in mutants))
    if arguments.list or arguments.check:
        return
    outcomes = run(mutants)
    if arguments.markdown:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(outcomes), encoding="utf-8")
    alive = [outcome.mutant.name for outcome in outcomes if outcome.word != "killed"]
    print(f"{len(outcomes) - len(alive)} of {len(outcomes)} killed")
    sys.exit(bool(alive))


if __name__ == "__main__":
    main()
