"""Steps and contracts as they stand in a project's Python files: where, with which words. The files are read, not imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from runink.dsl.stepfiles import scanned

CHARACTERS_MAX: Final = 1 << 20  # a hand-written file
FILES_KEPT_MAX: Final = 64  # that are read again only when their text is another
_BASE: Final = re.compile(r"(\w+\.)*Contract")


@dataclass(frozen=True, slots=True)
class StepCode:
    """A step: its function's name and line, 1-based, its signature and docstring. `column` is that of the function's name, 0-based."""

    name: str
    file: str
    line: int
    column: int
    length: int
    each: str
    signature: str
    doc: str


@dataclass(frozen=True, slots=True)
class ClassCode:
    """A contract's class; `fields` maps a field to its line, those of base classes in the same file included."""

    name: str
    file: str
    line: int
    column: int
    doc: str
    fields: dict[str, int] = field(default_factory=dict)


@lru_cache(FILES_KEPT_MAX)
def steps_of(text: str, path: str) -> tuple[StepCode, ...]:
    """Return the steps of a file; none of one that is not Python."""
    functions = scanned(text, path).functions
    tree = _tree(text)
    if not functions or tree is None:
        return ()
    lines = {step.line: step for step in functions.values()}
    found = []
    for node in ast.walk(tree):
        step = lines.get(node.lineno) if isinstance(node, ast.FunctionDef) else None
        if isinstance(node, ast.FunctionDef) and step is not None:
            signature = ast.unparse(_bare(node)).split("\n")[0].removesuffix(":")
            found.append(
                StepCode(
                    step.name,
                    path,
                    node.lineno,
                    node.col_offset + len("def "),
                    len(node.name),
                    step.each.value,
                    signature,
                    ast.get_docstring(node) or "",
                )
            )
    return tuple(sorted(found, key=lambda one: one.line))


def _bare(node: ast.FunctionDef) -> ast.FunctionDef:
    """Return the function without its body and decorators."""
    return ast.FunctionDef(
        name=node.name,
        args=node.args,
        body=[ast.Pass()],
        decorator_list=[],
        returns=node.returns,
        type_comment=None,
        lineno=node.lineno,
        col_offset=node.col_offset,
    )


@lru_cache(FILES_KEPT_MAX)
def contracts_of(text: str, path: str) -> tuple[ClassCode, ...]:
    """Return the classes of a file that are contracts, directly or by a base class of the same file; none of one that is not Python."""
    tree = _tree(text)
    if tree is None:
        return ()
    found: dict[str, ClassCode] = {}
    for node in _classes(tree):
        bases = [ast.unparse(base) for base in node.bases]
        if not any(_BASE.fullmatch(base) or base in found for base in bases):
            continue
        fields: dict[str, int] = {}
        for base in bases:
            fields.update(found[base].fields if base in found else {})
        for child in node.body:
            if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
                fields[child.target.id] = child.lineno
        found[node.name] = ClassCode(
            node.name,
            path,
            node.lineno,
            node.col_offset + len("class "),
            ast.get_docstring(node) or "",
            fields,
        )
    return tuple(found.values())


def _classes(node: ast.AST) -> Iterator[ast.ClassDef]:
    """Yield the classes that exist once the file is imported, in the order they stand."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield child
        elif isinstance(child, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from _classes(child)


def _tree(text: str) -> ast.Module | None:
    if len(text) > CHARACTERS_MAX:
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
