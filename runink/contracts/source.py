"""A contract as the Python text of its class: what is loaded from it is the contract again.

Records become classes above, lists `list[…]`, choices of text and whole numbers `Literal[…]`, and everything else about a field goes into `Annotated[…, Field(…)]`.
Comments may stand above a field: what somebody should look at, which the text does not yet say.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runink.contracts.fields import (
    Coercion,
    ContractSpec,
    FieldSpec,
    Kind,
    OnDrift,
    Scalar,
)

LINE_MAX: Final = 100  # characters, as the formatter's
_TYPES: Final = {
    Kind.INT: "int",
    Kind.FLOAT: "float",
    Kind.BOOL: "bool",
    Kind.STR: "str",
    Kind.BYTES: "bytes",
    Kind.DATE: "date",
    Kind.DATETIME: "datetime",
    Kind.TIME: "time",
    Kind.DECIMAL: "Decimal",
}
_MODULES: Final = {
    "date": "datetime",
    "datetime": "datetime",
    "time": "datetime",
    "Decimal": "decimal",
    "Annotated": "typing",
    "Literal": "typing",
}
_ISO: Final = frozenset({Kind.DATE, Kind.DATETIME, Kind.TIME})
# In the order in which people read them.
_CONSTRAINTS: Final = ("ge", "gt", "le", "lt", "multiple_of")
_PLAIN: Final = ("min_length", "max_length", "pattern", "format", "digits", "scale")
_PROSE: Final = ("unit", "description", "pii", "mask", "lineage")
# Names that a contract's class has other uses for.
_RESERVED: Final = frozenset({"key", "rules", "Contract", "Field", "Rule"})
# Names that later lines need: a field may have one, as long as it has no default, which would stand in their way.
_TYPE_NAMES: Final = frozenset({*_TYPES.values(), *_MODULES, "list"})


def python_source(
    spec: ContractSpec,
    *,
    comments: Mapping[str, Sequence[str]] | None = None,
    head: Sequence[str] = (),
) -> str:
    """Return the text of a module that holds the contract's class. `comments` stand above the fields of these names, `head` at the top."""
    writer = _Writer()
    body = writer.contract(spec, comments or {})
    lines = [f"# {line}".rstrip() for line in head]
    lines += [""] if head else []
    classes = [*writer.records, body]
    lines += writer.imports()
    return "\n".join([*lines, *(line for one in classes for line in ("", "", *one))]) + "\n"


def class_name(text: str) -> str:
    """Return a name for a class made of any text: `my-table` is `MyTable`."""
    if text.isidentifier() and not keyword.iskeyword(text):
        return text
    name = camel(text) or "Row"
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"T{name}"


def camel(text: str) -> str:
    """Return the words of a text in one, each with a capital: `dep_time` is `DepTime`."""
    words = re.findall(r"[A-Za-z0-9]+", text)
    return "".join(word[:1].upper() + word[1:] for word in words)


class _Writer:
    """Writes one module; what it uses is imported, and records stand above."""

    def __init__(self) -> None:
        self.records: list[list[str]] = []
        self._used: set[str] = set()
        self._ours = {"Contract"}
        self._classes: set[str] = set()

    def imports(self) -> list[str]:
        by_module: dict[str, list[str]] = {}
        for name in sorted(self._used):
            by_module.setdefault(_MODULES[name], []).append(name)
        lines = [
            f"from {module} import {', '.join(names)}"
            for module, names in sorted(by_module.items())
        ]
        return [
            *lines,
            *([""] if lines else []),
            f"from runink import {', '.join(sorted(self._ours))}",
        ]

    def contract(self, spec: ContractSpec, comments: Mapping[str, Sequence[str]]) -> list[str]:
        name = class_name(spec.name)
        self._classes.add(name)
        arguments = [f'version="{spec.version}"']
        if spec.coercion is not Coercion.SAFE:
            arguments.append(f'coercion="{spec.coercion.value}"')
        if spec.on_drift is not OnDrift.NOTE:
            arguments.append(f'on_drift="{spec.on_drift.value}"')
        if spec.tags:
            arguments.append(f"tags={_text(spec.tags)}")
        lines = [f"class {name}(Contract, {', '.join(arguments)}):"]
        if spec.description:
            lines += [*_docstring(spec.description), ""]
        attributes = _attributes(spec.fields)
        for field in spec.fields:
            written = self._field(field, attributes[field.name], name)
            lines += _commented(written, comments.get(field.name, ()))
        if spec.key:
            key = "".join(f"{_text(attributes[column])}, " for column in spec.key)
            lines += [
                "",
                f"    key = ({key.rstrip(' ') if len(spec.key) == 1 else key.removesuffix(', ')})",
            ]
        return [*lines, *self._rules(spec)]

    def _rules(self, spec: ContractSpec) -> list[str]:
        if not spec.rules:
            return []
        if any(rule.description for rule in spec.rules):
            self._ours.add("Rule")
            listed = [
                f"        Rule({_text(rule.text)}, name={_text(rule.name)}, description={_text(rule.description)}),"
                for rule in spec.rules
            ]
            return ["", "    rules = [", *listed, "    ]"]
        listed = [f"        {_text(rule.name)}: {_text(rule.text)}," for rule in spec.rules]
        return ["", "    rules = {", *listed, "    }"]

    def _record(self, field: FieldSpec, within: str) -> str:
        """Write the class of a record above, and return its name."""
        base = within + camel(field.name)
        name = next(
            one
            for one in (base, *(f"{base}{number}" for number in range(2, len(self._classes) + 3)))
            if one not in self._classes | _RESERVED | _TYPE_NAMES
        )
        self._classes.add(name)
        lines = [f"class {name}:"]
        attributes = _attributes(field.fields)
        for inner in field.fields:
            lines += self._field(inner, attributes[inner.name], name)
        self.records.append(lines)
        return name

    def _field(self, field: FieldSpec, attribute: str, within: str) -> list[str]:
        annotation = self._annotation(
            field, within, column=field.name if attribute != field.name else ""
        )
        default = ""
        if field.has_default:
            default = (
                " = None"
                if field.default is None
                else f" = {self._value(field.kind, field.default)}"
            )
        line = f"    {attribute}: {annotation}{default}"
        if len(line) <= LINE_MAX or not annotation.startswith("Annotated["):
            return [line]
        kind, _, rest = (
            annotation.removeprefix("Annotated[").removesuffix("]").partition(", Field(")
        )
        return [
            f"    {attribute}: Annotated[",
            f"        {kind},",
            f"        Field({rest},",
            f"    ]{default}",
        ]

    def _annotation(self, field: FieldSpec, within: str, *, column: str = "") -> str:
        kind, is_literal = self._type(field, within)
        if field.nullable:
            kind = f"{kind} | None"
        said = self._said(field, is_literal=is_literal)
        if column:
            said.insert(0, f"name={_text(column)}")
        if not said:
            return kind
        self._use("Annotated")
        self._ours.add("Field")
        return f"Annotated[{kind}, Field({', '.join(said)})]"

    def _type(self, field: FieldSpec, within: str) -> tuple[str, bool]:
        """Return the type, and whether it says the choices."""
        if field.kind is Kind.RECORD:
            return self._record(field, within), False
        if field.kind is Kind.LIST:
            assert field.items is not None
            return f"list[{self._annotation(field.items, within + camel(field.name))}]", False
        if field.choices and field.kind in (Kind.STR, Kind.INT):
            self._use("Literal")
            return f"Literal[{', '.join(_text(choice) for choice in field.choices)}]", True
        self._use(_TYPES[field.kind])
        return _TYPES[field.kind], False

    def _use(self, name: str) -> None:
        if name in _MODULES:
            self._used.add(name)

    def _said(self, field: FieldSpec, *, is_literal: bool) -> list[str]:
        said = [
            f"{name}={self._value(field.kind, getattr(field, name))}"
            for name in _CONSTRAINTS
            if getattr(field, name) is not None
        ]
        if field.choices and not is_literal:
            said.append(
                f"choices=[{', '.join(self._value(field.kind, one) for one in field.choices)}]"
            )
        said += [
            f"{name}={_text(getattr(field, name))}"
            for name in _PLAIN
            if getattr(field, name) is not None
            and (getattr(field, name) != "" or name == "pattern")
        ]
        said += [f"{name}=True" for name in ("allow_inf_nan", "unique") if getattr(field, name)]
        if field.coercion is not None:
            said.append(f'coerce="{field.coercion.value}"')
        if field.access:
            said.append(
                f"access={_text(field.access[0] if len(field.access) == 1 else field.access)}"
            )
        said += [f"{name}={_text(getattr(field, name))}" for name in _PROSE if getattr(field, name)]
        return [*said, *([f"tags={_text(field.tags)}"] if field.tags else [])]

    def _value(self, kind: Kind, value: Scalar) -> str:
        """Return the text of a bound, a choice or a default."""
        if kind in _ISO:
            name = _TYPES[kind]
            self._use(name)
            return f"{name}.fromisoformat({_text(value)})"
        if kind is Kind.DECIMAL:
            self._use("Decimal")
            return f"Decimal({_text(value)})"
        if kind is Kind.BYTES:
            return repr(str(value).encode("latin-1"))
        if isinstance(value, float) and value - value != 0:
            return f'float("{value}")'
        return _text(value)


def _commented(lines: list[str], comments: Sequence[str]) -> list[str]:
    """Put comments to a field: one that fits stands behind it, others above."""
    if len(lines) == len(comments) == 1 and len(lines[0]) + len(comments[0]) + 4 <= LINE_MAX:
        return [f"{lines[0]}  # {comments[0]}"]
    return [*(f"    # {comment}" for comment in comments), *lines]


def _attributes(fields: tuple[FieldSpec, ...]) -> dict[str, str]:
    """Return a Python name for each column: its own, where it is one."""
    names: dict[str, str] = {
        field.name: field.name
        for field in fields
        if _is_plain(field.name) and not (field.has_default and field.name in _TYPE_NAMES)
    }
    taken = set(names.values())
    for field in fields:
        if field.name not in names:
            base = re.sub(r"\W+", "_", field.name, flags=re.ASCII).strip("_") or "field"
            base = base if _is_plain(base) and base not in _TYPE_NAMES else f"field_{base}"
            name = next(
                one
                for one in (base, *(f"{base}_{number}" for number in range(2, len(fields) + 3)))
                if one not in taken
            )
            names[field.name] = name
            taken.add(name)
    return names


def _is_plain(name: str) -> bool:
    is_name = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    return is_name and not name.startswith("_") and name not in _RESERVED


def _text(value: Any) -> str:
    """Return a literal, its texts in double quotes where that needs no escape."""
    if isinstance(value, str):
        shown = repr(value)
        if shown.startswith("'") and '"' not in shown and "\\'" not in shown:
            raw = value.isprintable() and "\\" in value and not value.endswith("\\")
            return f'r"{value}"' if raw else f'"{shown[1:-1]}"'
        return shown
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(name)}: {_text(one)}" for name, one in value.items()) + "}"
    if isinstance(value, tuple):
        return f"({', '.join(_text(one) for one in value)}{',' if len(value) == 1 else ''})"
    return repr(value)


def _docstring(text: str) -> list[str]:
    """Return a docstring that is read back as the text; one that would not be is written as a literal."""
    lines = text.split("\n")
    is_plain = '"' not in text and "\\" not in text and all(line.isprintable() for line in lines)
    if is_plain and text == text.strip() and not any(line[:1].isspace() for line in lines):
        if len(lines) == 1:
            return [f'    """{text}"""']
        return [f'    """{lines[0]}', *(f"    {line}".rstrip() for line in lines[1:]), '    """']
    return [f"    __doc__ = {text!r}"]
