"""Contracts as people write them: classes with annotated fields, read into a `ContractSpec` when the class is made.

    from runink import Contract, Field

    class Flight(Contract, version="1.0.0"):
        \"\"\"One departure.\"\"\"
        month: Annotated[int, Field(ge=1, le=12)]
        tailnum: str | None = None
        key = ("month", "tailnum")
        rules = {"a plane in summer": "month < 6 || has(tailnum)"}

Fields of the bases come first, in their order; a field that is written again keeps its place.  Their rules hold for the class below, too, and so does the
coercion that they state.  All mistakes of a class are told at once, as findings with file and line (codes: `annotations.py`).  Users' files import this, so it must stay light: no Arrow, no Pydantic.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from runink.contracts.annotations import COERCION, FIELDS, RULES, Field, FieldReader, Mistake
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, OnDrift
from runink.contracts.fitting import is_tags, policy_of
from runink.contracts.row_rules import Rule, read_rules
from runink.contracts.versions import is_version
from runink.errors import Finding, Invalid, Span
from runink.suggestions import near, near_or_all

__all__ = ["Contract", "Field", "Rule", "spec_of"]

SPEC: Final = "__runink_contract__"  # where a class keeps its spec
DRIFT: Final = "__runink_on_drift__"  # and what it does about drift, likewise
TAGS: Final = "__runink_tags__"  # and its tags, for the classes below it
RULE_MARK: Final = "\0"  # no attribute has it in its name
VERSION_DEFAULT: Final = "1.0.0"


class Contract:
    """What rows must be like. Subclass it, annotate the fields; `key` names those that identify a row, `rules` are about several fields of one row.

    `version` is like 1.0.0, `coercion` what values may go through (`strict`, `safe`, `lenient`), `tags` are for people and for governance, `on_drift` is what
    becomes of input of another shape (`note`, `fail`, `deadletter`, `evolve`) where an edge does not say. Making the class raises Invalid with all findings if it does not hold together; what is wrong with the expressions of rules is told when it is loaded.
    """

    key: ClassVar[tuple[str, ...]] = ()
    rules: ClassVar[Any] = ()

    def __init_subclass__(
        cls,
        *,
        version: str = VERSION_DEFAULT,
        coercion: str | Coercion | None = None,
        tags: dict[str, str] | None = None,
        on_drift: str | OnDrift | None = None,
        **others: Any,
    ) -> None:
        super().__init_subclass__(**others)
        _ClassReader(cls, version).read(coercion, tags, on_drift)


def spec_of(contract: type[Contract]) -> ContractSpec:
    """Return what the class means. Raises Invalid if an expression of its rules cannot be read, or does not fit its fields."""
    spec = vars(contract)[SPEC]
    assert isinstance(spec, ContractSpec)
    said: dict[str, Rule] = getattr(contract, RULES)
    if not said or spec.rules:
        return spec
    from runink.contracts.rule_reading import read  # noqa: PLC0415 - loads a parser: for contracts that have rules

    rules, mistakes = read(tuple(said.values()), spec.fields, whose=spec.name)
    if mistakes:
        raise invalid(contract, [(rule_key(rule.text), mistake) for rule, mistake in mistakes])
    whole = msgspec.structs.replace(spec, rules=rules)
    setattr(contract, SPEC, whole)
    return whole


class _ClassReader:
    """Reads one class; collects mistakes by the attribute that they are about."""

    def __init__(self, cls: type[Contract], version: str) -> None:
        self._class = cls
        self._version = version
        self._mistakes: list[tuple[str, Mistake]] = []

    def read(
        self,
        coercion: str | Coercion | None,
        tags: dict[str, str] | None,
        on_drift: str | OnDrift | None,
    ) -> None:
        """Keep in the class what it means. Raises Invalid with all that is wrong."""
        fields = self._inherited()
        own = inspect.get_annotations(self._class)
        for name, annotation in own.items():
            if not _is_class_variable(annotation):
                fields[name] = self._field(name, annotation)
        self._check_names(fields, own)
        key = self._key(fields)
        if not isinstance(self._version, str) or not is_version(self._version):
            text = f"version {self._version!r} is not like 1.0.0"
            self._wrong("", "C009", text, "major.minor.patch, each a number")
        policy = self._policy(coercion)
        all_tags = self._tags(tags)
        drift = self._drift(on_drift)
        rules = self._rules(fields)
        if self._mistakes:
            raise invalid(self._class, self._mistakes)
        spec = ContractSpec(
            self._class.__name__,
            self._version,
            tuple(fields.values()),
            key,
            inspect.cleandoc(vars(self._class).get("__doc__") or ""),
            coercion=policy or Coercion.SAFE,
            tags=all_tags,
            on_drift=drift,
        )
        kept = {SPEC: spec, FIELDS: fields, COERCION: policy, TAGS: all_tags, DRIFT: drift}
        kept[RULES] = rules
        for name, value in kept.items():
            setattr(self._class, name, value)

    def _wrong(self, name: str, code: str, text: str, hint: str = "") -> None:
        self._mistakes.append((name, Mistake(code, text, hint)))

    def _policy(self, said: str | Coercion | None) -> Coercion | None:
        """Return the policy that the class states, or the nearest class above it."""
        if said is None:
            return getattr(self._class, COERCION, None)
        return policy_of(said, lambda code, text, hint="": self._wrong("", code, text, hint))

    def _drift(self, said: str | OnDrift | None) -> OnDrift:
        """Return what the class states, or the nearest class above it."""
        if said is None:
            found: OnDrift = getattr(self._class, DRIFT, OnDrift.NOTE)
            return found
        words = {policy.value: policy for policy in OnDrift}
        known = said if isinstance(said, OnDrift) else words.get(said)
        if known is None:
            hint = near_or_all(str(said), words)
            self._wrong("", "C021", f"on_drift {said!r} is not known", hint)
        return known or OnDrift.NOTE

    def _tags(self, said: dict[str, str] | None) -> dict[str, str]:
        if said is not None and not is_tags(said):
            self._wrong("", "C004", f"tags={said!r} is no dict of texts", 'tags={"owner": "ann"}')
            return {}
        return {**getattr(self._class, TAGS, {}), **(said or {})}

    def _rules(self, fields: dict[str, FieldSpec]) -> dict[str, Rule]:
        """Return the rules by name: those of the bases, and over them the class's own."""
        rules: dict[str, Rule] = {}
        for base in reversed(self._class.__mro__[1:]):
            rules |= vars(base).get(RULES, {})
        said = () if "rules" in fields else vars(self._class).get("rules", ())
        own = read_rules(said, lambda code, text, hint="": self._wrong("rules", code, text, hint))
        return rules | {rule.name: rule for rule in own}

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
            is_ours = name in ("key", "rules") or name.startswith("_")
            if name not in own and not is_ours and _is_value(value):
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
        for place, name in enumerate(said):
            if name in said[:place]:
                self._wrong("key", "C010", f"key names {name!r} twice")
            if name not in fields:
                hint = near(str(name), fields)
                self._wrong("key", "C010", f"key names {name!r}, which is no field", hint)
            elif fields[name].nullable:
                self._wrong("key", "C010", f"key names {name}, which may hold nothing")
        return tuple(fields[name].name for name in said if name in fields)


def invalid(cls: type, mistakes: list[tuple[str, Mistake]]) -> Invalid:
    """Return the error that tells all mistakes of a class, each with the line of the attribute that it is about ("" is the class itself)."""
    file, lines = _source(cls)
    findings = []
    for name, mistake in mistakes:
        line = lines.get(name) or lines.get(name.partition(RULE_MARK)[0]) or lines.get("", 0)
        text = linecache.getline(file, line).rstrip() if line else ""
        column = len(text) - len(text.lstrip()) + 1
        span = Span(file, line, column, max(1, len(text.strip()))) if line else None
        findings.append(Finding(mistake.code, mistake.text, span, mistake.hint, text))
    count = f"{len(findings)} mistakes" if len(findings) > 1 else "a mistake"
    listed = "\n".join(f"  {finding.code} {finding.text}" for finding in findings)
    return Invalid(
        f"contract {cls.__name__} has {count}\n{listed}",
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
    for name, node in _classes(tree, ""):
        if name == cls.__qualname__:
            return file, {"": node.lineno} | _attribute_lines(node)
    return file, {}


def _classes(node: ast.AST, around: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield the classes in a tree with their qualified names, as Python makes them."""
    for child in ast.iter_child_nodes(node):
        inner = around
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = f"{around}{child.name}.<locals>."
        elif isinstance(child, ast.ClassDef):
            yield around + child.name, child
            inner = f"{around}{child.name}."
        yield from _classes(child, inner)


def _attribute_lines(node: ast.ClassDef) -> dict[str, int]:
    lines: dict[str, int] = {}
    for statement in node.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        elif isinstance(statement, ast.Assign):
            targets = statement.targets
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        lines |= dict.fromkeys(names, statement.lineno)
        if "rules" in names:
            lines |= {
                rule_key(part.value): part.lineno
                for part in ast.walk(statement)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            }
    return lines


def rule_key(text: str) -> str:
    """Return under what the line of a rule's text is kept."""
    return f"rules{RULE_MARK}{text}"
