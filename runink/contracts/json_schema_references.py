"""References within a JSON Schema: `#/$defs/Address`, `#address`, or the document's own `$id` before either. Nothing is ever fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from runink.contracts.yaml_text import Path

DEFINITIONS: Final = ("$defs", "definitions")
_VALUES: Final = frozenset({"const", "default", "enum", "examples"})  # hold data, and no schemas


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference leads to, and where that stands."""

    value: Any
    path: Path


@dataclass(slots=True)
class References:
    """The places of one document. `is_draft_7` says that nothing counts beside a reference."""

    document: Any
    is_draft_7: bool = False
    _anchors: dict[str, Target] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value, path in _objects(self.document):
            said = value.get("$anchor")
            if said is None and str(value.get("$id", "")).startswith("#"):
                said = str(value["$id"])[1:]  # as draft 7 names a place
            if isinstance(said, str):
                self._anchors.setdefault(said, Target(value, path))

    def definitions(self) -> Iterator[tuple[str, Target]]:
        """Yield the schemas that the document defines, by their names."""
        for key in DEFINITIONS:
            held = self.document.get(key) if isinstance(self.document, dict) else None
            for name, value in held.items() if isinstance(held, dict) else ():
                yield name, Target(value, (key, name))

    def found(self, reference: Any) -> Target | str:
        """Return what a reference leads to, or what is wrong with it."""
        if not isinstance(reference, str):
            return "$ref is a text: #/$defs/…"
        before, _, fragment = reference.partition("#")
        if before and before != self._own():
            return f"{reference} leads out of the document, and nothing is fetched"
        if fragment and not fragment.startswith("/"):
            return self._anchors.get(fragment, f"{reference} names no place of the document")
        target = self._at(unquote(fragment))
        return f"{reference} leads nowhere" if target is None else target

    def definition_paths(self) -> Iterator[str]:
        """Yield the references that lead to what the document defines."""
        for _, target in self.definitions():
            yield "/".join(("#", *map(str, target.path)))

    def _own(self) -> str:
        said = self.document.get("$id") if isinstance(self.document, dict) else None
        return said.partition("#")[0] if isinstance(said, str) else ""

    def _at(self, pointer: str) -> Target | None:
        value: Any = self.document
        path: Path = ()
        for step in pointer.split("/")[1:]:
            key: str | int = step.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list):
                if not (
                    step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(value)
                ):
                    return None
                key = int(step)
            elif not isinstance(value, dict) or key not in value:
                return None
            value, path = value[key], (*path, key)
        return Target(value, path)


def _objects(document: Any) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield every object of a document that may be a schema."""
    waiting: list[tuple[Any, Path]] = [(document, ())]
    while waiting:  # ends: a document is finite, and holds itself nowhere
        value, path = waiting.pop()
        if isinstance(value, dict):
            yield value, path
            waiting += [(one, (*path, key)) for key, one in value.items() if key not in _VALUES]
        elif isinstance(value, list):
            waiting += [(one, (*path, place)) for place, one in enumerate(value)]
