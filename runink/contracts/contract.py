"""Contracts as people write them: classes with annotated fields, read into a `ContractSpec` when the class is made.

    from runink import Contract, Field

    class Flight(Contract, version="1.0.0"):
        \"\"\"One departure.\"\"\"
        month: Annotated[int, Field(ge=1, le=12)]
        tailnum: str | None = None
        key = ("month", "tailnum")

Fields of the bases come first, in their order; a field that is written again keeps its place.  All mistakes of a class are told at once,
as findings with file and line (codes: `annotations.py`).  Users' files import this, so it must stay light: no Arrow, no Pydantic.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import linecache
import re
import sys
import types
import typing
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from runink.contracts.annotations import Field, FieldReader, Mistake
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.errors import Finding, Invalid, Span

__all__ = ["Contract", "Field", "spec_of"]

SPEC: Final = "__runink_contract__"  # where a class keeps its spec
FIELDS: Final = "__runink_fields__"  # and its fields by attribute, for the classes below it
VERSION_DEFAULT: Final = "1.0.0"
_VERSION: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?")


class Contract:
    """What rows must be like. Subclass it, annotate the fields; `key` names those that identify a row.

    Making the class raises Invalid with all findings if it does not hold together.
    """

    key: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, version: str = VERSION_DEFAULT, **others: Any) -> None:
        super().__init_subclass__(**others)
        spec, fields = _ClassReader(cls, version).read()
        setattr(cls, SPEC, spec)
        setattr(cls, FIELDS, fields)


def spec_of(contract: type[Contract]) -> ContractSpec:
    """Return what the class means."""
    spec = vars(contract)[SPEC]
    assert isinstance(spec, ContractSpec)
    return spec


class _ClassReader:
    """Reads one class; collects mistakes by the attribute that they are about."""

    def __init__(self, cls: type[Contract], version: str) -> None:
        self._class = cls
        self._version = version
        self._mistakes: list[tuple[str, Mistake]] = []

    def read(self) -> tuple[ContractSpec, dict[str, FieldSpec]]:
        """Return the spec, and its fields by attribute. Raises Invalid with all that is wrong."""
        fields = self._inherited()
        own = inspect.get_annotations(self._class)
        for name, annotation in own.items():
            if not _is_class_variable(annotation):
                fields[name] = self._field(name, annotation)
        self._check_names(fields, own)
        key = self._key(fields)
        if not isinstance(self._version, str) or not _VERSION.fullmatch(self._version):
            text = f"version {self._version!r} is not like 1.0.0"
            self._wrong("", "C009", text, "major.minor.patch, each a number")
        if self._mistakes:
            raise self._invalid()
        prose = inspect.cleandoc(vars(self._class).get("__doc__") or "")
        name = self._class.__name__
        return ContractSpec(name, self._version, tuple(fields.values()), key, prose), fields

    def _wrong(self, name: str, code: str, text: str, hint: str = "") -> None:
        self._mistakes.append((name, Mistake(code, text, hint)))

    def _inherited(self) -> dict[str, FieldSpec]:
        """Return the bases' fields by attribute; where two bases have one, the first one's rules hold, as with Python's attributes."""
        fields: dict[str, FieldSpec] = {}
        for base in reversed(self._class.__mro__[1:]):
            fields |= vars(base).get(FIELDS, {})
        return fields

    def _field(self, name: str, annotation: Any) -> FieldSpec:
        reader = FieldReader(name)
        default = vars(self._class).get(name, msgspec.UNSET)
        try:
            spec = reader.read(self._evaluated(name, annotation), default)
        except (NameError, SyntaxError, TypeError, AttributeError) as error:
            text = f"{name}: its type {annotation!r} cannot be read: {error}"
            self._wrong(name, "C001", text, "import what it names, above the class")
            return FieldSpec(name, Kind.STR)  # stands in, so that the other mistakes are found too
        self._mistakes += [(name, mistake) for mistake in reader.mistakes]
        return spec

    def _evaluated(self, name: str, annotation: Any) -> Any:
        """Return the annotation itself where it stands as text (`from __future__ import annotations`)."""
        if not isinstance(annotation, str):
            return annotation
        module = sys.modules.get(self._class.__module__)
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        known = vars(module) if module else {}
        return typing.get_type_hints(holder, known, {}, include_extras=True)[name]

    def _check_names(self, fields: dict[str, FieldSpec], own: dict[str, Any]) -> None:
        for name, value in vars(self._class).items():
            if name not in own and name != "key" and not name.startswith("_") and _is_value(value):
                text = f"{name} has a value but no type, so it is no field"
                self._wrong(name, "C012", text, f"write {name}: {type(value).__name__} = {value!r}")
        if not fields and not self._mistakes:
            self._wrong("", "C011", f"{self._class.__name__} has no field")
        columns: dict[str, str] = {}
        for name, field in fields.items():
            if field.name in columns:
                text = f"{name} and {columns[field.name]} are both the column {field.name!r}"
                self._wrong(name, "C011", text)
            columns[field.name] = name

    def _key(self, fields: dict[str, FieldSpec]) -> tuple[str, ...]:
        """Return the columns of the key; it is told by attributes."""
        said: Any = () if "key" in fields else self._class.key
        if not isinstance(said, (tuple, list)):
            self._wrong(
                "key", "C010", f"key = {said!r} is no tuple", 'write key = ("one", "other")'
            )
            return ()
        for name in said:
            if name not in fields:
                near = difflib.get_close_matches(str(name), fields, n=1)
                hint = f"did you mean {near[0]}?" if near else ""
                self._wrong("key", "C010", f"key names {name!r}, which is no field", hint)
            elif fields[name].nullable:
                self._wrong("key", "C010", f"key names {name}, which may hold nothing")
        return tuple(fields[name].name for name in said if name in fields)

    def _invalid(self) -> Invalid:
        file, lines = _source(self._class)
        findings = []
        for name, mistake in self._mistakes:
            line = lines.get(name) or lines.get("", 0)
            text = linecache.getline(file, line).rstrip() if line else ""
            column = len(text) - len(text.lstrip()) + 1
            span = Span(file, line, column, max(1, len(text.strip()))) if line else None
            findings.append(Finding(mistake.code, mistake.text, span, mistake.hint, text))
        name = self._class.__name__
        count = f"{len(findings)} mistakes" if len(findings) > 1 else "a mistake"
        listed = "\n".join(f"  {finding.code} {finding.text}" for finding in findings)
        return Invalid(
            f"contract {name} has {count}\n{listed}",
            findings=tuple(findings),
            code="contract_invalid",
        )


def _is_class_variable(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.startswith(("ClassVar", "typing.ClassVar"))
    return annotation is ClassVar or typing.get_origin(annotation) is ClassVar


def _is_value(value: Any) -> bool:
    """Tell a value, which somebody may have meant as a field's default, from a method or a class."""
    return not (callable(value) or isinstance(value, (property, classmethod, staticmethod)))


def _source(cls: type) -> tuple[str, dict[str, int]]:
    """Return the file of the class and the lines of its attributes ("" is the class itself); no lines where there is no source."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    try:
        tree = ast.parse(Path(file).read_text())
    except (OSError, SyntaxError, ValueError):
        return file, {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            return file, {"": node.lineno} | _attribute_lines(node)
    return file, {}


def _attribute_lines(node: ast.ClassDef) -> dict[str, int]:
    lines: dict[str, int] = {}
    for statement in node.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
        lines |= {target.id: statement.lineno for target in targets if isinstance(target, ast.Name)}
    return lines
