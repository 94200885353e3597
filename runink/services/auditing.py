"""The audit of all calls: it stands around the services, so that none of them can forget it.

    a call                                    is written down
    that changes something                    before it is begun, and again when it has ended: who ends a server between leaves a trace (`begun`)
    that reads, in a herd whose audit         when it has been answered, before the answer goes out
    has the level `all`
    of somebody who is not known              when it has ended; where it was refused, so many in a minute; where somebody signed in, not at all
    that was not let in                       so many of each subject in a minute; the next one says how many were left out

It goes to the audit of its herd, or to the cluster's: where it belongs to none, where there is no such herd, and where herds are made and taken away, so that this stays.
What cannot be written down is not begun.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import anyio
import msgspec
from msgspec.structs import replace as changed

from runink.barn.commands import DeleteRange
from runink.barn.keys import AUDIT, OF_CLUSTER, herd_key
from runink.barn.keyvalue import key_prefix
from runink.clients.barn import Transaction
from runink.errors import RuninkError
from runink.governance.audit import (
    ENTRIES_MAX,
    KEPT_MS,
    AuditEntry,
    Outcome,
    entry_id,
    first_id_of,
    outcome_of,
)
from runink.herds.record import AuditLevel, HerdRecord
from runink.identity.vocabulary import is_of_the_cluster
from runink.names import HerdName
from runink.operations.answers import Kind
from runink.operations.calls import Caller, Context
from runink.operations.catalog.table import CATALOG
from runink.operations.declarations import HERD, Asked, Method, Operation, path_names, pattern_of
from runink.operations.patterns import matches
from runink.services.behind import Behind
from runink.services.service import Services

PRUNE_EVERY: Final = 64  # entries of one place
PRUNED_MAX: Final = 1_000  # at once, of what is too many
LEVEL_MS: Final = 2_000  # for so long it is not looked again whether a herd has reads written down
LEVELS_MAX: Final = 1_024
NAME_MAX: Final = 64  # characters: of a hash. Tokens are longer, whatever a field is called
MINUTE_MS: Final = 60_000
DENIED_MAX: Final = 20  # of one subject in a minute
DENIED_ALL_MAX: Final = 600  # of all together
END_S: Final = 5.0  # to say how a call has ended, also where its caller has left

_NUMBERS: Final = 1 << 80  # of ids in a millisecond

_log = logging.getLogger(__name__)

# What is a part of some path is a name, and no secret: it is written down wherever it stands.
_NAMES: Final = {(name, pattern_of(one, name)) for one in CATALOG for name in path_names(one.path)}
_PATTERNS: Final = {name: [one for of, one in _NAMES if of == name] for name, _ in _NAMES}


class Auditing:
    """Services that write down what they are asked."""

    def __init__(self, services: Services, behind: Behind) -> None:
        self._services = services
        self._behind = behind
        self._levels: dict[str, tuple[AuditLevel | None, int]] = {}
        self._counts: dict[str, int] = {}
        self._denials = Denials()
        self._last = (-1, 0)

    async def call(
        self, operation: Operation, request: Asked, caller: Caller, context: Context
    ) -> Any:
        """Return what the operation's kind says. Raises Refused and Unavailable."""
        if operation.method is Method.GET and not await self._is_read_audited(request):
            return await self._services.call(operation, request, caller, context)
        entry = self._entry(operation, _names_in(request), caller, context.request_id)
        if operation.method is Method.GET:
            return await self._read(operation, request, caller, context, entry)
        if caller.principal is None:
            return await self._unknown(operation, request, caller, context, entry)
        key = await self._put(operation, entry)
        try:
            answer = await self._services.call(operation, request, caller, context)
        except BaseException as error:
            outcome, code = outcome_of(error)
            await self._end(key, changed(entry, outcome=outcome, code=code))
            raise
        what = {**_names_in(answer), **entry.what}
        await self._end(key, changed(entry, outcome=Outcome.DONE, what=what))
        return answer

    async def denied(
        self,
        operation: Operation,
        path: Mapping[str, str],
        caller: Caller,
        *,
        request_id: str,
        code: str,
    ) -> None:
        """Write down that somebody was not let in. Never raises: who may not is told so in any case."""
        entry = self._entry(operation, path, caller, request_id)
        left_out = self._denials.count(entry.who or caller.address, entry.at_ms)
        if left_out is None:
            return
        entry = changed(entry, outcome=Outcome.DENIED, code=code, left_out=left_out)
        try:
            await self._put(operation, changed(entry, ended_ms=entry.at_ms))
        except RuninkError as error:
            _log.warning("denied call not audited", extra={"code": error.code, "who": entry.who})

    async def _read(
        self,
        operation: Operation,
        request: Asked,
        caller: Caller,
        context: Context,
        entry: AuditEntry,
    ) -> Any:
        try:
            answer = await self._services.call(operation, request, caller, context)
        except RuninkError as error:
            outcome, code = outcome_of(error)
            ended = changed(entry, outcome=outcome, code=code, ended_ms=self._behind.now_ms())
            await self._put(operation, ended)
            raise
        try:
            ended = changed(entry, outcome=Outcome.DONE, ended_ms=self._behind.now_ms())
            await self._put(operation, ended)
        except BaseException:
            if operation.kind is Kind.EVENTS:
                await answer.aclose()
            raise
        return answer

    async def _unknown(
        self,
        operation: Operation,
        request: Asked,
        caller: Caller,
        context: Context,
        entry: AuditEntry,
    ) -> Any:
        """Have a call done of somebody who is not known before it: a flood of these is no flood of entries."""
        try:
            answer = await self._services.call(operation, request, caller, context)
        except RuninkError as error:
            await self.denied(
                operation, entry.what, caller, request_id=context.request_id, code=error.code
            )
            raise
        if operation.is_sign_in:
            return answer
        what = {**_names_in(answer), **entry.what}
        ended_ms = self._behind.now_ms()
        await self._put(
            operation, changed(entry, outcome=Outcome.DONE, what=what, ended_ms=ended_ms)
        )
        return answer

    def _entry(
        self, operation: Operation, what: Mapping[str, str], caller: Caller, request_id: str
    ) -> AuditEntry:
        now_ms, principal = self._behind.now_ms(), caller.principal
        return AuditEntry(
            id=self._id(now_ms),
            at_ms=now_ms,
            who=principal.subject if principal is not None else "",
            token=principal.token if principal is not None else "",
            address=caller.address,
            operation=operation.name,
            outcome=Outcome.BEGUN,
            what=dict(what),
            request_id=request_id,
        )

    def _id(self, now_ms: int) -> str:
        """Return an id that sorts behind those that were made here before, also within a millisecond."""
        ms, number = self._last
        if ms == now_ms:
            number = (number + 1) % _NUMBERS
        else:
            number = int.from_bytes(self._behind.entropy(10))
        self._last = now_ms, number
        return entry_id(now_ms, number.to_bytes(10))

    async def _put(self, operation: Operation, entry: AuditEntry) -> str:
        """Write an entry where it belongs, and return its key. Raises Unavailable."""
        herd = entry.what.get(HERD, "")
        is_of_cluster = operation.verb is not None and is_of_the_cluster(
            operation.verb, operation.resource or ""
        )
        barn = self._behind.barn
        if herd and not is_of_cluster:
            key = AUDIT.key(herd, entry.id)
            there = Transaction().if_present(herd_key(HerdName(herd)))
            if (await barn.commit(there.put(key, _placed(key, entry)))).succeeded:
                await self._counted(herd)
                return key
        key = AUDIT.key(OF_CLUSTER, entry.id)
        await barn.put(key, entry)
        await self._counted(OF_CLUSTER)
        return key

    async def _end(self, key: str, entry: AuditEntry) -> None:
        """Say how a call has ended, unless its entry is gone: with its herd, or because it was old."""
        entry = changed(_placed(key, entry), ended_ms=self._behind.now_ms())
        try:
            with anyio.move_on_after(END_S, shield=True):
                await self._behind.barn.commit(Transaction().if_present(key).put(key, entry))
        except RuninkError as error:
            _log.warning("end of a call not audited", extra={"code": error.code, "key": key})

    async def _is_read_audited(self, request: Asked) -> bool:
        herd = getattr(request, HERD, "")
        return herd != "" and await self._level(herd) is AuditLevel.ALL

    async def _level(self, herd: str) -> AuditLevel | None:
        """Return what a herd has written down; nothing where it says nothing, or is not there."""
        now_ms = self._behind.now_ms()
        known = self._levels.get(herd)
        if known is not None and known[1] > now_ms:
            return known[0]
        found = await self._behind.barn.get(herd_key(HerdName(herd)), HerdRecord)
        if len(self._levels) >= LEVELS_MAX:
            self._levels.clear()
        level = found.value.audit if found is not None else None
        self._levels[herd] = level, now_ms + LEVEL_MS
        return level

    async def _counted(self, place: str) -> None:
        """Take away what is too old or too much, now and then."""
        count = self._counts.get(place, 0)
        if len(self._counts) >= LEVELS_MAX:
            self._counts.clear()
        self._counts[place] = count + 1
        if count % PRUNE_EVERY:
            return
        try:
            await prune(self._behind, place)
        except RuninkError as error:
            _log.warning("audit not pruned", extra={"code": error.code, "place": place})


def _placed(key: str, entry: AuditEntry) -> AuditEntry:
    """Return an entry that says in whose audit it is, by its key."""
    place, _ = AUDIT.parse(key) or (OF_CLUSTER, "")
    return entry if place == OF_CLUSTER else changed(entry, herd=place)


async def kept_since_ms(behind: Behind, place: str) -> int:
    """Return from when on a place's entries are kept."""
    kept_ms = 0
    if place != OF_CLUSTER:
        found = await behind.barn.get(herd_key(HerdName(place)), HerdRecord)
        kept_ms = found.value.retention.audit_ms if found is not None else 0
    return behind.now_ms() - (kept_ms or KEPT_MS)


async def prune(behind: Behind, place: str) -> None:
    """Take away the entries of a place that are older than it keeps them, and the oldest of too many."""
    barn, span = behind.barn, key_prefix(AUDIT.prefix(place))
    old = AUDIT.key(place, first_id_of(await kept_since_ms(behind, place)))
    await barn.propose(DeleteRange(span.start, old))
    page = (await barn.read(span, limit=PRUNED_MAX)).pages[0]
    excess = min(page.count - ENTRIES_MAX, len(page.items) - 1)
    if excess > 0:
        await barn.propose(DeleteRange(span.start, page.items[excess].key))


class Denials:
    """How many denied calls are written down, of each subject and of all together in a minute."""

    def __init__(self) -> None:
        self._minute = 0
        self._counts: dict[str, int] = {}
        self._all = 0

    def count(self, subject: str, now_ms: int) -> int | None:
        """Return how many before this one were left out, or nothing if this one is to be left out as well."""
        minute = now_ms // MINUTE_MS
        left_out = 0
        if minute != self._minute:
            left_out = max(self._counts.get(subject, 0) - DENIED_MAX, 0)
            self._minute, self._counts, self._all = minute, {}, 0
        count = self._counts.get(subject, 0) + 1
        if len(self._counts) < DENIED_ALL_MAX or subject in self._counts:
            self._counts[subject] = count
        self._all += 1
        return None if count > DENIED_MAX or self._all > DENIED_ALL_MAX else left_out


def _names_in(value: Any) -> dict[str, str]:
    """Return the fields of a request or an answer that are names, as parts of paths are."""
    if not isinstance(value, msgspec.Struct):
        return {}
    found = {}
    for field in msgspec.structs.fields(value):
        name = field.encode_name
        text = getattr(value, field.name)
        if not isinstance(text, str) or len(text) > NAME_MAX:
            continue
        if any(matches(one, text) for one in _PATTERNS.get(name, ())):
            found[name] = text
    return found
