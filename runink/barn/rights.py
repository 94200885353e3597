"""Rights on keys: what somebody may read and write of the Barn, by the beginnings of keys.

An entry that ends with a slash is what keys begin with; any other is one key.

    a request or command              needs
    a read, a watch, a comparison     that all of its span lies beneath one of `reads` (or of `writes`)
    a put or delete                   the same of `writes`
    a transaction                     what each of its parts needs, whichever branch is taken
    leases: grant, keep, revoke       `has_leases`
    all else                          nothing grants it: it is for members and operators

Whoever may write a key may read it: a transaction compares what it changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from runink.barn.commands import (
    Command,
    Compare,
    Delete,
    DeleteRange,
    GrantLease,
    KeepAlive,
    Operation,
    Put,
    Range,
    RevokeLease,
    Txn,
)
from runink.barn.keyvalue import Span, key_prefix, one_key
from runink.errors import Forbidden


@dataclass(frozen=True, slots=True)
class KeyRights:
    """What one may do with keys. `of` says whose rights they are, in what is refused."""

    of: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    has_leases: bool = False
    _readable: tuple[Span, ...] = field(init=False)
    _writable: tuple[Span, ...] = field(init=False)

    def __post_init__(self) -> None:
        writable = tuple(map(_span, self.writes))
        readable = tuple(map(_span, self.reads))
        object.__setattr__(self, "_writable", writable)
        object.__setattr__(self, "_readable", readable + writable)

    def check_reads(self, spans: Iterable[Span]) -> None:
        """Raise Forbidden (`keys_forbidden`) for a span that holds more than may be read."""
        for span in spans:
            if not _is_within(span, self._readable):
                raise self._refused("read", span)

    def check_command(self, command: Command) -> None:
        """Raise Forbidden (`keys_forbidden`, `command_forbidden`) for a command that does more than may be done."""
        match command:
            case Put() | Delete() | DeleteRange() | Txn():
                self._check_operation(command)
            case GrantLease() | KeepAlive() | RevokeLease() if self.has_leases:
                return
            case _:
                raise Forbidden(
                    f"{self.of} may not have the Barn do {type(command).__name__}",
                    code="command_forbidden",
                )

    def _check_operation(self, operation: Operation) -> None:
        match operation:
            case Put(key) | Delete(key):
                self._check_write(one_key(key))
            case DeleteRange(start, end):
                self._check_write(Span(start, end))
            case Range(start, end):
                self.check_reads((Span(start, end),))
            case Txn(compares, then, otherwise):
                self.check_reads(_compared(one) for one in compares)
                for part in (*then, *otherwise):
                    self._check_operation(part)

    def _check_write(self, span: Span) -> None:
        if not _is_within(span, self._writable):
            raise self._refused("write", span)

    def _refused(self, verb: str, span: Span) -> Forbidden:
        return Forbidden(f"{self.of} may not {verb} {span.start!r}", code="keys_forbidden")


def _span(entry: str) -> Span:
    return key_prefix(entry) if entry.endswith("/") else one_key(entry)


def _compared(compare: Compare) -> Span:
    return one_key(compare.key) if compare.end is None else Span(compare.key, compare.end)


def _is_within(span: Span, allowed: tuple[Span, ...]) -> bool:
    return any(
        one.start <= span.start and (not one.end or (span.end != "" and span.end <= one.end))
        for one in allowed
    )
