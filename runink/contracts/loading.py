"""A contract of a project by its reference, `contracts/flights.py:Flight`: the file is imported for it.

The import leaves no trace: neither in `sys.path` nor in `sys.modules` (the next project has a `contracts` of its own, and a file that was mended is read
anew), no compiled file beside the user's, and nothing on standard output, which belongs to whoever asked (`runi -o json`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import msgspec

from runink.contracts.contract import Contract, spec_of
from runink.contracts.fields import ContractSpec
from runink.errors import Finding, Invalid, NotFound, RuninkError
from runink.suggestions import near
from runink.tracebacks import import_hint, own_lines


def load_contract(root: Path, reference: str) -> ContractSpec:
    """Return the contract that `reference` (`FILE:CLASS`, relative to the project's root) names.

    Raises NotFound if there is no such file or class, Invalid if the reference, the file or the class is wrong.
    """
    file, name = _parts(reference)
    root = root.absolute()
    if not (root / file).is_file():
        raise _no_such_file(root, file)
    with _visiting(root, file):
        found = _class(_executed(root, file), file, name)
    return msgspec.structs.replace(spec_of(found), where=file)


def contract_names(root: Path, file: str) -> tuple[str, ...]:
    """Return the contracts that a file of the project defines, in their order. Raises as `load_contract` does."""
    file, _ = _parts(f"{file}:any")
    root = root.absolute()
    if not (root / file).is_file():
        raise _no_such_file(root, file)
    with _visiting(root, file):
        module = _executed(root, file)
        return tuple(
            name for name in _offered(module) if getattr(module, name).__module__ == module.__name__
        )


def _parts(reference: str) -> tuple[str, str]:
    file, colon, name = reference.rpartition(":")
    path = PurePosixPath(file)
    plain = colon and name.isidentifier() and path.suffix == ".py"
    if not plain or path.is_absolute() or ".." in path.parts:
        raise Invalid(
            f"{reference!r} is no reference to a contract",
            code="contract_reference",
            hint="write the file, relative to the project, and the class: contracts/flights.py:Flight",
        )
    if path.parts[0].removesuffix(".py") in sys.stdlib_module_names:
        raise Invalid(
            f"{file} hides a module of Python's own library",
            code="contract_import_failed",
            hint="rename the file or its folder",
        )
    return str(path), name


def _no_such_file(root: Path, file: str) -> NotFound:
    folder = (root / file).parent
    files = [str(path.relative_to(root)) for path in folder.glob("*.py")] if folder.is_dir() else []
    hint = near(file, files) or "paths are relative to the project's root"
    return NotFound(f"there is no file {file}", code="contract_missing", hint=hint)


@contextlib.contextmanager
def _visiting(root: Path, file: str) -> Iterator[None]:
    """Let the project's modules be imported inside, and forget them behind; ours of the same name come back."""
    path, before, writes_bytecode = list(sys.path), dict(sys.modules), sys.dont_write_bytecode
    top = PurePosixPath(file).parts[0].removesuffix(".py")
    for name in [name for name in sys.modules if name.partition(".")[0] == top]:
        del sys.modules[name]
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True
    linecache.checkcache()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = writes_bytecode
        for name, module in list(sys.modules.items()):
            if name not in before and _is_of(module, root):
                del sys.modules[name]
        sys.modules.update(
            {name: module for name, module in before.items() if name not in sys.modules}
        )
        importlib.invalidate_caches()


def _is_of(module: ModuleType, root: Path) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(place is not None and Path(place).is_relative_to(root) for place in places)


def _executed(root: Path, file: str) -> ModuleType:
    name = file.removesuffix(".py").replace("/", ".")
    spec = importlib.util.spec_from_file_location(name, root / file)
    assert spec is not None, "a .py file always has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        # A module that is imported runs whatever its author wrote, so anything may come out of it.
        raise _import_failed(root, file, error) from error
    return module


def _import_failed(root: Path, file: str, error: BaseException) -> RuninkError:
    if isinstance(error, Invalid) and error.findings:
        findings = tuple(_relative(finding, root) for finding in error.findings)
        text = f"{file}: {error.text}"
        return Invalid(text, findings=findings, code=error.code, hint=error.hint)
    lines = "\n".join(own_lines(error, root))
    hint = import_hint(error, root)
    return Invalid(f"{file} cannot be imported\n{lines}", code="contract_import_failed", hint=hint)


def _relative(finding: Finding, root: Path) -> Finding:
    """Name the finding's file as the project does."""
    span = finding.span
    if span is None or not Path(span.file).is_relative_to(root):
        return finding
    file = str(Path(span.file).relative_to(root))
    return msgspec.structs.replace(finding, span=msgspec.structs.replace(span, file=file))


def _offered(module: ModuleType) -> list[str]:
    return [
        key
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Contract) and value is not Contract
    ]


def _class(module: ModuleType, file: str, name: str) -> type[Contract]:
    found: Any = getattr(module, name, None)
    offered = _offered(module)
    if found is None:
        has = f"it has {', '.join(offered)}" if offered else "it has none"
        hint = near(name, offered) or f"write class {name}(Contract): …"
        text = f"{file} has no contract {name!r}; {has}"
        raise NotFound(text, code="contract_missing", hint=hint)
    if not (isinstance(found, type) and issubclass(found, Contract) and found is not Contract):
        raise Invalid(
            f"{name} in {file} is no contract",
            code="contract_not_a_contract",
            hint=f'write class {name}(Contract, version="1.0.0"): … with `from runink import Contract`',
        )
    return found
