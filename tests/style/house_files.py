"""The project's own files, read once: what the tests of the house rules look at."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_OURS = frozenset({"build", "data", "dist", "node_modules", "out"})
TEXTS = frozenset(
    {".cfg", ".css", ".dsl", ".html", ".js", ".json", ".lark", ".md", ".py", ".sh", ".toml", ".yaml", ".yml"}
)  # fmt: skip


@dataclass(frozen=True)
class File:
    """A text file; `path` is relative to the project, `lines` are without their ends."""

    path: str
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")

    @property
    def is_ours(self) -> bool:
        """Whether it is part of the package, not of its tests or tools."""
        return self.path.startswith("runink/")


@dataclass(frozen=True)
class Module:
    file: File
    tree: ast.Module

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def classes(self) -> Iterator[ast.ClassDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef):
                yield node


@cache
def files() -> tuple[File, ...]:
    """Return all text files of the project, hidden folders and generated ones left out (but for `.ci`)."""
    found = []
    for folder, names, entries in os.walk(ROOT):
        names[:] = sorted(
            name
            for name in names
            if name == ".ci" or not (name.startswith(".") or _is_foreign(name))
        )
        for entry in sorted(entries):
            path = Path(folder, entry)
            if path.suffix in TEXTS or entry in {"LICENSE", "Makefile", "run"}:
                found.append(File(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")))
    assert len(found) > 100, "the project is somewhere else"
    return tuple(found)


def _is_foreign(name: str) -> bool:
    return name in NOT_OURS or name == "__pycache__" or name.endswith(".egg-info")


@cache
def modules() -> tuple[Module, ...]:
    return tuple(Module(file, ast.parse(file.text)) for file in files() if file.is_python)
