"""Contracts from JSON Schema, of draft 2020-12 or 7: the other way is `json_schema`.

A document is the schema of a row, or holds several below `$defs`, which are named then.  The contract's name, its version, key and rules stand below `x-runink`, as an
export writes them; where nothing does, it is called as its title or its file, and has the document's `version`, or 1.0.0.  The law, for every contract:

    read(json_schema(contract))    is the contract

What the keywords of a schema demand is enforced, or told (O020), or refused; nothing is dropped without a word.  Codes stand in `json_text`, `json_schema_merging` and
`odcs_parts`.
"""

from __future__ import annotations

import contextlib
import re
import typing
from pathlib import PurePosixPath
from typing import Any, Final

import msgspec

from runink.contracts.documents import Read, RuleReader, RuleText, noted, refused
from runink.contracts.fields import ContractSpec
from runink.contracts.json_schema_fields import FieldReader
from runink.contracts.json_schema_merging import Merger
from runink.contracts.json_schema_parts import Schema, Sub, TooMuch, shown, types_of
from runink.contracts.json_schema_references import References, Target
from runink.contracts.json_schema_words import CONTRACT_WORDS, DRAFT, DRAFT_7, NEWEST, OURS
from runink.contracts.source import class_name
from runink.contracts.yaml_text import Located, Path
from runink.errors import NotFound

VERSION_DEFAULT: Final = "1.0.0"
_VERSION: Final = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?")
_OF_ROWS: Final = ("properties", "$ref", "allOf")
# The attributes of a contract that are read as they are.
_PLAIN: Final = ("coercion", "on_drift", "tags")


def schema_names(document: Any, *, file: str) -> tuple[str, ...]:
    """Return the contracts of a document, as far as it is a JSON Schema: itself, or those that it defines where it is none."""
    if _is_of_rows(document):
        return (_called(document, file),)
    definitions = References(document).definitions()
    return tuple(name for name, target in definitions if _is_of_rows(target.value))


def read_schema(located: Located, name: str, rules: RuleReader) -> Read:
    """Return the contract `name` of a document; without a name, the only one.

    Raises NotFound if there is none of that name, Invalid with all findings if the document is wrong.
    """
    draft = _draft(located.value)
    merger = Merger(references=References(located.value, is_draft_7=draft == DRAFT_7))
    if isinstance(located.value, dict) and draft not in (NEWEST, DRAFT_7):
        text = f"{shown(located.value['$schema'])} is no draft of JSON Schema that is read here"
        merger.wrong("O008", text, ("$schema",), f"write {DRAFT}, if it keeps to it")
    target = _root(located, name, merger)
    spec = None
    if target is not None:
        with contextlib.suppress(TooMuch):  # which has been told
            spec = _Contract(merger, target, located).read(name, rules)
    if merger.told.problems or spec is None:
        raise refused(located, merger.told)
    for keyword, (path, places) in merger.left_out.items():
        count = f" ({len(places)} times)" if len(places) > 1 else ""
        merger.note(f"{keyword} is left out{count}: a contract has no place for it", path)
    return Read(spec, noted(located, merger.told))


def _draft(document: Any) -> str:
    """Return what `$schema` says, without its scheme; the newest draft where it says nothing."""
    said = document.get("$schema", DRAFT) if isinstance(document, dict) else DRAFT
    if not isinstance(said, str):
        return ""
    return re.sub(r"^https?://", "", said).removesuffix("#")


def _is_of_rows(schema: Any) -> bool:
    is_object = isinstance(schema, dict)
    return is_object and (schema.get("type") == "object" or any(key in schema for key in _OF_ROWS))


def _called(schema: dict[str, Any], file: str) -> str:
    """Return the name of the contract that a schema of rows is."""
    beside = schema.get(OURS)
    own = beside.get("contract") if isinstance(beside, dict) else None
    if isinstance(own, str) and own:
        return own
    title = schema.get("title")
    stem = PurePosixPath(file).name.partition(".")[0]
    return class_name(title if isinstance(title, str) and title.strip() else stem)


def _root(located: Located, name: str, merger: Merger) -> Target | None:
    """Return the schema of the contract; nothing where there is none, which is told. Raises NotFound if none has the name."""
    document = located.value
    if not isinstance(document, dict):
        text = f"a JSON Schema of rows is an object, not {shown(document)}"
        merger.wrong("O005", text, (), 'it begins with {"type": "object", "properties": {…')
        return None
    names = schema_names(document, file=located.file)
    if _is_of_rows(document) and name in ("", *names):
        return Target(document, ())
    definitions = dict(merger.references.definitions())
    if not name and len(names) == 1:
        return definitions[names[0]]
    if name in definitions:
        return definitions[name]
    if name:
        known = [*names, *definitions]
        hint = merger.near(name, known, "the names stand below $defs")
        has = f"it has {', '.join(dict.fromkeys(known))}" if known else "it has none"
        text = f"{located.file} has no contract {name!r}; {has}"
        raise NotFound(text, code="contract_missing", hint=hint)
    if names:
        text = f"the document defines {len(names)} contracts, and none is named: {', '.join(names)}"
        merger.wrong("O007", text, (), f"name one behind a colon: {located.file}:{names[0]}")
    elif document.get("type") == "array":
        hint = f"put the schema of a row below $defs, and name it: {located.file}:Row"
        merger.wrong("O008", "it is of a list, and a contract is of one row", ("type",), hint)
    else:
        text = "the document says nothing about rows"
        merger.wrong("O007", text, (), 'a row is {"type": "object", "properties": {…}}')
    return None


class _Contract:
    """Reads one contract of a document."""

    def __init__(self, merger: Merger, target: Target, located: Located) -> None:
        self._merger = merger
        self._target = target
        self._located = located

    def read(self, name: str, rules: RuleReader) -> ContractSpec:
        """Return the contract; what is wrong is told by the merger. Raises TooMuch."""
        schema = self._merger.merged([Sub(self._target.value, self._target.path)])
        types = types_of(schema)
        if types is not None and "object" not in types:
            text = f"a contract is of rows, which are objects, and this is {' or '.join(sorted(types))}"
            hint = f"put the schema of a row below $defs, and name it: {self._located.file}:Row"
            self._merger.wrong("O008", text, schema.place("type"), hint)
        own = _called(self._target.value, self._located.file)
        beside = self._beside(schema)
        fields = FieldReader(self._merger).fields(schema, 1)
        spec = ContractSpec(
            own if self._target.path == () or "contract" in schema.beside else class_name(name),
            self._version(schema),
            fields,
            self._key(schema, {field.name: field.nullable for field in fields}),
            str(schema.said.get("description", "")),
            where=self._located.file,
            **beside,
        )
        made = self._rules(schema, spec, rules)
        spec = msgspec.structs.replace(spec, rules=made)
        self._compare_hash(schema, spec)
        return spec

    def _wrong(self, schema: Schema, text: str, *keys: str | int, hint: str = "") -> None:
        self._merger.wrong("O010", text, self._place(schema, *keys), hint)

    def _place(self, schema: Schema, *keys: str | int) -> Path:
        return (*schema.place(OURS), *keys)

    def _beside(self, schema: Schema) -> dict[str, Any]:
        """Return the attributes of the contract that stand below `x-runink`, and tell what does not belong there."""
        said: dict[str, Any] = {}
        types = typing.get_type_hints(ContractSpec)
        for name, value in schema.beside.items():
            if name not in CONTRACT_WORDS:
                words = f"there are {', '.join(CONTRACT_WORDS)}"
                hint = self._merger.near(name, CONTRACT_WORDS, words)
                self._wrong(schema, f"{OURS} of a contract has no {shown(name)}", name, hint=hint)
            elif name in _PLAIN:
                try:
                    said[name] = msgspec.convert(value, types[name])
                except (msgspec.ValidationError, ValueError) as error:
                    self._wrong(schema, f"{OURS}.{name}: {error}", name)
            elif name in ("contract", "hash") and not (isinstance(value, str) and value):
                self._wrong(schema, f"{OURS}.{name} is {shown(value)}, not a text", name)
        return said

    def _version(self, schema: Schema) -> str:
        """Return the version below `x-runink`, or the document's own."""
        said, path = schema.beside.get("version"), self._place(schema, "version")
        if said is None:
            said, path = self._located.value.get("version"), ("version",)
        if said is None:
            return VERSION_DEFAULT
        if isinstance(said, str) and _VERSION.fullmatch(said):
            return said
        hint = "major.minor.patch, each a number, in quotes"
        self._merger.wrong("C009", f"version {shown(said)} is not like 1.0.0", path, hint)
        return VERSION_DEFAULT

    def _key(self, schema: Schema, nullable: dict[str, bool]) -> tuple[str, ...]:
        said = schema.beside.get("key", [])
        if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
            self._wrong(schema, f"{OURS}.key is {shown(said)}, not a list of names", "key")
            return ()
        for place, name in enumerate(said):
            path = self._place(schema, "key", place)
            if name not in nullable:
                hint = self._merger.near(name, nullable)
                self._merger.wrong("C010", f"key names {name!r}, which is no field", path, hint)
            elif nullable[name]:
                self._merger.wrong("C010", f"key names {name}, which may hold nothing", path)
        return tuple(said)

    def _rules(self, schema: Schema, spec: ContractSpec, rules: RuleReader) -> tuple[Any, ...]:
        said = schema.beside.get("rules", [])
        texts = [_rule_text(one) for one in said] if isinstance(said, list) else [None]
        if None in texts:
            hint = 'a list of {"name": …, "expression": …}'
            self._wrong(schema, f"{OURS}.rules cannot be read", "rules", hint=hint)
            return ()
        if not texts or self._merger.told.problems:
            return ()
        made, wrong = rules(tuple(one for one in texts if one is not None), spec.fields, spec.name)
        for one in wrong:
            keys = ("rules",) if one.place is None else ("rules", one.place, "expression")
            self._merger.wrong(one.code, one.text, self._place(schema, *keys), one.hint)
        return made

    def _compare_hash(self, schema: Schema, spec: ContractSpec) -> None:
        said = schema.beside.get("hash")
        if said is not None and not self._merger.told.problems and said != spec.hash:
            text = f"{OURS}.hash is of another content: the schema has been changed since it was exported (take hash out, or export it anew)"
            self._merger.note(text, self._place(schema, "hash"))


def _rule_text(value: Any) -> RuleText | None:
    """Return a rule over a row as it is written, nothing where it is none."""
    if not isinstance(value, dict) or not value.keys() <= {"name", "expression", "description"}:
        return None
    name, text, description = (value.get(key, "") for key in ("name", "expression", "description"))
    is_text = all(isinstance(one, str) for one in (name, text, description))
    return RuleText(name, text, description) if is_text and name and text else None
