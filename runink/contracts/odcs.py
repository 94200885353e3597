"""Contracts as documents of the Open Data Contract Standard (ODCS), both ways.

A document holds one or more objects in its `schema`; each is a contract. Its version is the document's.  What Runink does not understand of a document (servers, team,
roles, price, support, service levels) is no part of a contract's value: it stays in the document, and `written_document` writes a contract into one that is
there already without touching it.  The laws, for every contract and every document that can be read:

    read(written(contract))                    is the contract
    read(written(contract, over=document))     is the contract
    written(read(document), over=document)     is the document

Objects are the matter of `odcs_objects`, fields of `odcs_fields`, quality rules of `odcs_quality`; codes stand in `yaml_text` and `odcs_parts`.
O020 is the code of what is read and not enforced.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from runink.contracts.documents import Read, RuleReader, noted, refused
from runink.contracts.fields import ContractSpec
from runink.contracts.odcs_fields import in_order
from runink.contracts.odcs_levels import tell_levels
from runink.contracts.odcs_objects import ReadObject, read_object, written_object
from runink.contracts.odcs_parts import Part, Told
from runink.contracts.odcs_words import DOCUMENT_KEYS, KIND, READ, WRITTEN
from runink.contracts.versions import is_version
from runink.contracts.yaml_text import Located
from runink.errors import NotFound
from runink.suggestions import near

STATUS: Final = "active"  # of a document that says nothing else
_VERSION: Final = re.compile(r"v?([0-9]+(?:\.[0-9]+){0,2})(-.+)?")
_EXAMPLES: Final = {
    "apiVersion": WRITTEN,
    "kind": KIND,
    "id": "a name that no other document has",
    "version": "1.0.0",
    "status": STATUS,
}


def object_names(document: Any) -> tuple[str, ...]:
    """Return the names of the objects of a document, as far as it is one."""
    listed = document.get("schema") if isinstance(document, dict) else None
    return tuple(
        one["name"]
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and isinstance(one.get("name"), str)
    )


def read_contract(located: Located, name: str, rules: RuleReader) -> Read:
    """Return the contract that the object `name` is; without a name, the only one of the document.

    Raises NotFound if there is no such object, Invalid with all findings if the document or the object is wrong.
    """
    told = Told()
    spec = None
    if isinstance(located.value, dict):
        document = Part(located.value, (), told)
        _check(document)
        part = _object(document, name, located.file)
        if part is not None:
            spec = _ruled(read_object(part, _version(document)), rules, part)
    else:
        hint = "it begins with apiVersion: and kind:"
        Part({}, (), told).wrong("O005", "a contract is a mapping", hint=hint)
    if told.problems or spec is None:
        raise refused(located, told)
    return Read(msgspec.structs.replace(spec, where=located.file), noted(located, told))


def _check(document: Part) -> None:
    document.known(DOCUMENT_KEYS, "a document")
    for key, example in _EXAMPLES.items():
        if document.value.get(key) is None:
            document.wrong("O007", f"{key} is missing", hint=f"write {key}: {example}")
    version, kind = document.text("apiVersion"), document.text("kind")
    if version and version not in READ:
        text = f"{version} is no version of the standard that is known here"
        document.wrong("O008", text, "apiVersion", hint=f"one of {', '.join(READ)}")
    if kind and kind != KIND:
        text = f"{kind} is no kind of document that holds a contract"
        document.wrong("O008", text, "kind", hint=f"kind: {KIND}")
    tell_levels(document)


def _version(document: Part) -> str:
    """Return the version as contracts have it: v1.2 is 1.2.0."""
    text = document.text("version")
    match = _VERSION.fullmatch(text)
    numbers = [*match[1].split("."), "0", "0"][:3] if match else []
    version = ".".join(numbers) + (match[2] or "" if match else "")
    if is_version(version):
        return version
    if text:
        hint = "major.minor.patch, each a number"
        document.wrong("C009", f"version {text!r} is not like 1.0.0", "version", hint=hint)
    return "1.0.0"


def _object(document: Part, name: str, file: str) -> Part | None:
    objects = list(document.parts("schema"))
    names = object_names(document.value)
    if not objects:
        hint = "schema: is a list of objects with their properties"
        document.wrong("O007", "the document says nothing about rows", "schema", hint=hint)
        return None
    if not name and len(objects) > 1:
        text = f"the document has {len(objects)} objects, and none is named: {', '.join(names)}"
        hint = f"name one behind a colon: {file}:{names[0]}" if names else ""
        document.wrong("O007", text, "schema", hint=hint)
        return None
    for one in objects:
        if not name or one.value.get("name") == name:
            return one
    hint = near(name, names) or "the names of its objects stand below schema:"
    text = f"{file} has no object {name!r}; it has {', '.join(names)}"
    raise NotFound(text, code="contract_missing", hint=hint)


def _ruled(found: ReadObject, rules: RuleReader, part: Part) -> ContractSpec:
    """Return the contract with its rules read."""
    if not found.rules:
        return found.spec
    texts = tuple(text for text, _ in found.rules)
    made, wrong = rules(texts, found.spec.fields, found.spec.name)
    for one in wrong:
        if one.place is None:
            part.wrong(one.code, one.text, "quality", hint=one.hint)
        else:
            found.rules[one.place][1].wrong(one.code, one.text, "implementation", hint=one.hint)
    return msgspec.structs.replace(found.spec, rules=made)


def written_document(spec: ContractSpec, *, over: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the document that says the contract; `over` one that is there, into which it is written: its object is replaced, or added."""
    base = over or {}
    listed = base.get("schema")
    objects = list(listed) if isinstance(listed, list) else []
    names = [one.get("name") if isinstance(one, dict) else None for one in objects]
    if spec.name in names:
        place = names.index(spec.name)
        objects[place] = written_object(spec, base=objects[place])
    else:
        objects.append(written_object(spec))
    version = {"version": spec.version}
    if isinstance(base.get("version"), str) and _version(Part(base, (), Told())) == spec.version:
        version = {"version": base["version"]}  # v1.0 says it already
    head = {
        "apiVersion": WRITTEN,
        "kind": KIND,
        "id": spec.name,
        "name": spec.name,
        **version,
        "status": STATUS,
    }
    if over is not None and "name" not in base:
        del head["name"]
    return in_order({**head, **base, **version, "schema": objects}, base)
