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
import sys
from collections.abc import Callable, Mapping, Sequence
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
    if each not in {choice.value for choice in Each}:
        said = f"says each={each!r}" if each else "does not say each="
        raise Invalid(f"a @step {said}", code="step_each_missing", hint=CHOICES)

    def register(decorated: AnyFunction) -> AnyFunction:
        label = name or decorated.__name__
        _add(decorated, Each(each), label, None if maps is None else column_maps(maps, label))
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


def load_function(bundle: Path, function: Function) -> Callable[..., Any]:
    """Import the function's file from the bundle and return the function.

    The bundle's root comes first on `sys.path`, so that a step may import its neighbours. Raises NotFound if file or function is
    missing and Refused if the file cannot be imported (with the traceback's lines of the project's own files).
    """
    path = bundle / function.file
    if not path.is_file():
        raise NotFound(
            f"{function.file} is not in the project",
            code="step_file_missing",
            hint=f"step {function.name!r} stands there according to the pipeline",
        )
    module = _import(bundle.absolute(), function.file)
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


def _import(root: Path, file: str) -> ModuleType:
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    name = _module_name(file)
    path = root / file
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a .py file always has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        # A module that is imported runs whatever its author wrote, so anything may come out of it.
        sys.modules.pop(name, None)
        raise _import_refused(file, error, root) from error
    return module


def _import_refused(file: str, error: BaseException, root: Path) -> Refused:
    lines = "\n".join(own_lines(error, root))
    if isinstance(error, RuninkError):
        return Refused(f"{file}: {error.text}\n{lines}", code=error.code, hint=error.hint)
    hint = import_hint(error, root)
    return Refused(f"{file} cannot be imported\n{lines}", code="step_import_failed", hint=hint)
