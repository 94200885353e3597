"""Operations by their names: `client.runs.list(...)` is the operation `runs.list`, and `client.dead_letters.list` is `dead-letters.list`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from runink.errors import NotFound
from runink.operations.answers import Kind
from runink.operations.catalog.table import CATALOG
from runink.operations.declarations import (
    AskedEvents,
    Method,
    Operation,
    Source,
    fields_of,
    sources_of,
)
from runink.suggestions import near_or_all

ANY_STREAM: Final = Operation(  # of paths that are asked as they stand
    name="any.watch",
    method=Method.GET,
    path="/",
    request=AskedEvents,
    answer=Any,
    kind=Kind.EVENTS,
    is_for_known=True,
    summary="Follow what a path tells.",
)
OPTIONS: Final = (
    "if_match",
    "idempotency_key",
    "within_s",
)  # of every call; no field has such a name


class Names:
    """The operations that a client knows."""

    def __init__(self, operations: Iterable[Operation] = CATALOG) -> None:
        self._by_name: Mapping[str, Operation] = {one.name: one for one in operations}
        self._by_attribute = {name.replace("-", "_"): one for name, one in self._by_name.items()}

    def operation(self, named: Operation | str) -> Operation:
        """Return the operation of a name. Raises NotFound (`unknown_operation`)."""
        if isinstance(named, Operation):
            return named
        found = self._by_name.get(named)
        if found is None:
            raise NotFound(
                f"this client knows no operation {named!r}",
                code="unknown_operation",
                hint=near_or_all(named, list(self._by_name)) or "",
            )
        return found

    def below(self, prefix: str) -> list[str]:
        """Return the words that may follow a prefix, which is empty or ends with a point."""
        return sorted(
            {
                name.removeprefix(prefix).partition(".")[0]
                for name in self._by_attribute
                if name.startswith(prefix)
            }
        )

    def at(self, name: str) -> Operation | None:
        """Return the operation that attributes joined by points mean."""
        return self._by_attribute.get(name)


class Named:
    """A name, or the beginning of one: `client.runs`, `client.runs.list`."""

    def __init__(self, names: Names, call: Callable[..., Any], name: str) -> None:
        self._names = names
        self._call = call
        self._name = name
        operation = names.at(name)
        if operation is not None:
            self.__doc__ = explained(operation)

    def __getattr__(self, word: str) -> Named:
        return named(self._names, self._call, f"{self._name}.{word}")

    def __call__(self, **fields: Any) -> Any:
        """Call the operation. Raises NotFound (`unknown_operation`) where the name is only the beginning of one."""
        found = self._names.at(self._name)
        return self._call(self._names.operation(self._name) if found is None else found, **fields)

    def __dir__(self) -> list[str]:
        return self._names.below(f"{self._name}.")

    def __repr__(self) -> str:
        return f"<{self._name}>"


def named(names: Names, call: Callable[..., Any], name: str) -> Named:
    """Return what stands for a name. Raises AttributeError where no operation is called so, or begins so."""
    if names.at(name) is None and not names.below(f"{name}."):
        raise AttributeError(f"there is no operation {name!r}; dir() says which there are")
    return Named(names, call, name)


def explained(operation: Operation) -> str:
    """Return what help() says of an operation."""
    known = fields_of(operation.request)
    where = sources_of(operation)
    lines = [operation.summary, ""]
    if operation.description:
        lines += [operation.description, ""]
    for name, one in known.items():
        need = "" if one.required else ", may be left out"
        note = ": the bytes themselves" if one.type is bytes else ""
        in_path = " (part of the path)" if where[name] is Source.PATH else ""
        lines.append(f"    {name}{in_path}{need}{note}")
    if operation.is_conditional:
        lines.append("    if_match: the document that was read, its revision, an ETag, or '*'")
    if operation.is_idempotent:
        lines.append("    idempotency_key: made for each call where none is given")
    return "\n".join(lines)
