"""What steps a Python file offers, read from its text: the file is not imported, so compiling runs no step's code and loads no engine.

Found are functions at the file's top (also within if, try and with) whose decorator is `step(…)` as imported from runink, whatever it
is called there.  What it says must stand in the text: `each="batch"`, not a variable.  `load_function` meets the real file later
and says so if it differs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from runink.column_maps import column_maps
from runink.dag import Each
from runink.dsl.diagnostics import Findings
from runink.errors import Finding, Invalid, Span
from runink.suggestions import near_or_all

FILE_CHARACTERS_MAX: Final = 1 << 20  # a hand-written file
FILES_KEPT_MAX: Final = (
    64  # that are read again only when their text is another: an editor asks at each key
)
PRELOADABLE: Final = (
    "numpy",
    "pyarrow",
    "polars",
    "duckdb",
    "msgspec",
)  # those of sandbox/protocol.py
_HOMES: Final = ("runink", "runink.steps", "runink.steps.registry")
_EACH: Final = {one.value: one for one in Each}
CHOICES: Final = (
    'say what it is given at a time: @step(each="record") one record, @step(each="batch") one batch and no memory of others, '
    '@step(each="stream") an iterator of batches, @step(each="input") the whole input'
)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a function. `is_needed` is false if it has a default."""

    name: str
    is_needed: bool


@dataclass(frozen=True, slots=True)
class StepFunction:
    name: str
    each: Each
    arguments: tuple[Argument, ...]
    line: int
    maps: dict[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class StepFile:
    """A file's steps by name, the heavy libraries it imports, and what is wrong with it."""

    path: str
    functions: dict[str, StepFunction]
    modules: tuple[str, ...] = ()
    mistakes: tuple[Finding, ...] = ()
    broken: frozenset[str] = frozenset()  # names of functions that are steps but for a mistake


@lru_cache(FILES_KEPT_MAX)
def scanned(text: str, path: str) -> StepFile:
    """Return what the file offers. Never raises: a file that is no Python offers nothing and says why."""
    findings = Findings(path, text)
    if len(text) > FILE_CHARACTERS_MAX:
        findings.add("D053", f"{path} is too large to be a step's file", None)
        return StepFile(path, {}, mistakes=findings.told())
    try:
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        column = getattr(error, "offset", None) or 1
        told = getattr(error, "msg", None) or str(error)
        findings.add("D053", f"{path} is not Python: {told}", Span(path, line, max(column, 1)))
        return StepFile(path, {}, mistakes=findings.told())
    scan = _Scan(findings, _names_of_step(tree))
    scan.read(tree)
    return StepFile(path, scan.functions, _modules(tree), findings.told(), frozenset(scan.broken))


def _names_of_step(tree: ast.Module) -> frozenset[str]:
    """Return what `step` is called in the file: `step`, `s`, `runink.step`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in _HOMES and not node.level:
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "step"}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in _HOMES:
                    names.add(f"{alias.asname or alias.name}.step")
    return frozenset(names)


def _modules(tree: ast.Module) -> tuple[str, ...]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return tuple(name for name in PRELOADABLE if name in found)


class _Scan:
    def __init__(self, findings: Findings, names: frozenset[str]) -> None:
        self.functions: dict[str, StepFunction] = {}
        self.broken: set[str] = set()
        self._findings = findings
        self._names = names

    def read(self, tree: ast.Module) -> None:
        for function in _functions(tree):
            for decorator in function.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                if ast.unparse(call.func if call else decorator) in self._names:
                    self._add(function, call, decorator)

    def _add(
        self,
        function: ast.FunctionDef | ast.AsyncFunctionDef,
        call: ast.Call | None,
        decorator: ast.expr,
    ) -> None:
        keywords = {word.arg: word.value for word in call.keywords} if call else {}
        name = self._constant(keywords.get("name")) or function.name
        if isinstance(function, ast.AsyncFunctionDef):
            self._mistake(name, "D053", f"step {name} is async", decorator, "a step is a plain def")
            return
        said = self._constant(keywords.get("each"))
        if said not in _EACH:
            if "each" not in keywords:
                text, hint = f"step {name} does not say each=", CHOICES
            elif said:
                text, hint = f"step {name} says each={said!r}", near_or_all(said, _EACH)
            else:
                text, hint = f"step {name}: each= is no text", 'write it out: each="batch"'
            self._mistake(name, "D052", text, decorator, hint)
            return
        if name in self.functions:
            other = self.functions[name].line
            hint = 'rename one, or give it another name: @step(each=…, name="…")'
            self._mistake(
                name,
                "D051",
                f"two steps are called {name}, the other in line {other}",
                decorator,
                hint,
            )
            return
        maps = self._maps(name, keywords.get("maps"), decorator)
        self.functions[name] = StepFunction(
            name, _EACH[said], _arguments(function), function.lineno, maps
        )

    def _maps(
        self, name: str, said: ast.expr | None, decorator: ast.expr
    ) -> dict[str, tuple[str, ...]] | None:
        """Return of which columns the function makes which; nothing where it does not say."""
        try:
            found = None if said is None else ast.literal_eval(said)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            hint = 'write it out: maps={"delay": ["dep_delay"], "*": "*"}'
            self._mistake(name, "D052", f"step {name}: maps= is no plain dict", decorator, hint)
            return None
        if found is None:
            return None
        try:
            return column_maps(found, name)
        except Invalid as error:
            self._mistake(name, "D052", error.text, decorator, error.hint)
            return None

    def _constant(self, node: ast.expr | None) -> str:
        return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""

    def _mistake(self, name: str, code: str, text: str, node: ast.expr, hint: str) -> None:
        self.broken.add(name)
        length = (
            (node.end_col_offset or 0) - node.col_offset if node.end_lineno == node.lineno else 1
        )
        # The @ stands before the decorator's expression.
        span = self._findings.span(node.lineno, node.col_offset, length + 1)
        self._findings.add(code, text, span, hint)


def _functions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions that exist once the file is imported, but for those in functions and classes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        elif isinstance(child, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from _functions(child)


def _arguments(function: ast.FunctionDef) -> tuple[Argument, ...]:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    plain = len(positional) - len(given.defaults)
    found = [Argument(one.arg, place < plain) for place, one in enumerate(positional)]
    named = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    return (*found, *(Argument(one.arg, default is None) for one, default in named))
