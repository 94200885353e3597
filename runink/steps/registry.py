"""How a project's functions become steps, and how a slice finds them again.

    from runink import step

    @step(each="batch")
    def cleaned(flights: pl.DataFrame) -> pl.DataFrame: ...

The decorator leaves the function as it is and writes it into a table in the function's own module, so that nothing is kept here.
It is imported by users' files and must stay light: no Arrow, no engine.  A function that does not say what it is given
is refused: guessing `record` where `batch` was meant is a hundred times slower, guessing the other way gives wrong rows.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from io import FileIO
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import msgspec

from runink.column_maps import column_maps
from runink.dag import Each, Function
from runink.errors import Invalid, NotFound, Refused, RuninkError
from runink.suggestions import near
from runink.tracebacks import import_hint, own_lines

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

TABLE: Final = "__runink_steps__"  # the name of the table in a user's module
_EACH: Final = {choice.value: choice for choice in Each}
_MISSING: Final = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
CHOICES: Final = (
    'say what the function is given at a time: @step(each="record") one record, @step(each="batch") one batch and no memory of others, '
    '@step(each="stream") an iterator of batches, @step(each="input") the whole input'
)


class Registered(msgspec.Struct, frozen=True):
    """A function that a file offers as a step, and where it stands."""

    name: str
    each: Each
    function: Callable[..., Any]
    file: str
    line: int
    maps: dict[str, tuple[str, ...]] | None = None

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def step(
    function: Any = None,
    *,
    each: str = "",
    name: str | None = None,
    maps: Mapping[str, str | Sequence[str]] | None = None,
) -> Callable[[AnyFunction], AnyFunction]:
    """Offer a function to pipelines as a step. `each` says what it is given, `name` how pipelines call it (its own name by default).

    `maps` says of which columns each column that it gives is made: `{"delay": ["dep_delay"], "*": "*"}`, where `*` are all others, passed on as they come. Personal
    data is followed by it; without it, all that goes in may be in anything that comes out.

    Raises Invalid (when the file is imported) if `each` is missing or unknown, if `maps` is no such thing, or if the file has another step of that name.
    """
    if function is not None:
        label = getattr(function, "__name__", repr(function))
        raise Invalid(f"step {label} does not say each=", code="step_each_missing", hint=CHOICES)
    chosen = _EACH.get(each)
    if chosen is None:
        said = f"says each={each!r}" if each else "does not say each="
        raise Invalid(f"a @step {said}", code="step_each_missing", hint=CHOICES)

    def register(decorated: AnyFunction) -> AnyFunction:
        label = name or decorated.__name__
        _add(decorated, chosen, label, None if maps is None else column_maps(maps, label))
        return decorated

    return register


def _add(
    function: Callable[..., Any], each: Each, name: str, maps: dict[str, tuple[str, ...]] | None
) -> None:
    code = getattr(function, "__code__", None)
    if code is None:
        raise Invalid(
            f"step {name} is not a plain function",
            code="step_not_a_function",
            hint="put @step above a def, as the first decorator",
        )
    added = Registered(name, each, function, code.co_filename, code.co_firstlineno, maps)
    table: dict[str, Registered] = function.__globals__.setdefault(TABLE, {})
    other = table.get(name)
    if other is not None and other.place != added.place:
        raise Invalid(
            f"two steps are called {name!r}: {other.place} and {added.place}",
            code="step_name_taken",
            hint='rename one, or give it another name: @step(each=…, name="…")',
        )
    table[name] = added


def load_function(bundle: str | Path, function: Function) -> Callable[..., Any]:
    """Import the function's file from the bundle and return the function.

    The bundle's root comes first on `sys.path`, so that a step may import its neighbours. Raises NotFound if file or function is
    missing and Refused if the file cannot be imported (with the traceback's lines of the project's own files).
    """
    try:
        module = _import(_absolute(bundle), function.file)
    except _MISSING as error:
        raise NotFound(
            f"{function.file} is not in the project",
            code="step_file_missing",
            hint=f"step {function.name!r} stands there according to the pipeline",
        ) from error
    table: dict[str, Registered] = getattr(module, TABLE, {})
    found = table.get(function.name)
    if found is None:
        raise _no_such_step(function, table)
    if found.each is not function.each or found.maps != function.maps:
        now, then = (f"each={one.each.value!r}, maps={one.maps!r}" for one in (found, function))
        raise Refused(
            f"step {function.name} in {function.file} says {now}, the pipeline was compiled with {then}",
            code="step_changed",
            hint="compile the pipeline again",
        )
    return found.function


def _no_such_step(function: Function, table: dict[str, Registered]) -> NotFound:
    offered = f"it has {', '.join(sorted(table))}" if table else "it has none"
    hint = near(function.name, table) or "is @step(each=…) above the function?"
    return NotFound(
        f"{function.file} has no step {function.name!r}; {offered}", code="step_missing", hint=hint
    )


def _module_name(file: str) -> str:
    """Name the module as an import statement of the project would: `steps/flights.py` is `steps.flights`."""
    name = file.removesuffix(".py").replace("/", ".")
    if name.partition(".")[0] in sys.stdlib_module_names:
        raise Refused(
            f"{file} hides a module of Python's own library",
            code="step_import_failed",
            hint="rename the file or its folder",
        )
    return name


def _absolute(folder: str | Path) -> str:
    """Return the folder's whole name. In a slice it is one already, and pathlib is pages that would be copied for it."""
    text = os.fspath(folder)
    return text if text.startswith("/") else str(Path(text).absolute())


def _import(root: str, file: str) -> ModuleType:
    """Import the file as a module of the project. Raises Refused, and FileNotFoundError and its like where there is no such file."""
    if root not in sys.path:
        sys.path.insert(0, root)
    name = _module_name(file)
    path = f"{root}/{file}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == path:
        return known
    try:
        with FileIO(path) as opened:
            text = opened.read()
    except _MISSING:
        raise
    except OSError as error:
        raise _import_refused(file, error, Path(root)) from error
    module = _module(name, path)
    sys.modules[name] = module
    try:
        # What the loader itself would do, without a look for compiled code: a bundle has none, and nobody may write there.
        exec(compile(text, path, "exec", dont_inherit=True), vars(module))  # noqa: S102 - a step is code
    except (Exception, SystemExit) as error:
        # A module that is imported runs whatever its author wrote, so anything may come out of it.
        sys.modules.pop(name, None)
        raise _import_refused(file, error, Path(root)) from error
    return module


def _module(name: str, path: str) -> ModuleType:
    """Return the module as an import would make it, still empty."""
    if path.endswith("/__init__.py"):
        package = importlib.util.spec_from_file_location(name, path)
        assert package is not None, "a .py file always has a loader"
        return importlib.util.module_from_spec(package)
    # As those two do it, who look for who could load such a file, and more.
    loader = SourceFileLoader(name, path)
    spec = ModuleSpec(name, loader, origin=path)
    spec.has_location = True
    module = ModuleType(name)
    module.__file__, module.__loader__, module.__spec__ = path, loader, spec
    module.__package__ = name.rpartition(".")[0]
    return module


def _import_refused(file: str, error: BaseException, root: Path) -> Refused:
    lines = "\n".join(own_lines(error, root))
    if isinstance(error, RuninkError):
        return Refused(f"{file}: {error.text}\n{lines}", code=error.code, hint=error.hint)
    hint = import_hint(error, root)
    return Refused(f"{file} cannot be imported\n{lines}", code="step_import_failed", hint=hint)
