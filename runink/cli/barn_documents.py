"""Transactions as JSON documents, as `runi barn txn` reads and prints them.

    {"if":   [{"key": "/a", "version": 0},  {"key": "/b", "to": "/c", "value": "x", "is": "<"}],
     "then": [{"put": "/a", "value": "1", "lease": 0, "before": true},  {"get": "/b", "prefix": true, "limit": 3},
              {"delete": "/c", "prefix": true, "before": true},  {"txn": {"if": [], "then": [], "else": []}}],
     "else": []}

A condition names one of `value`, `value_base64`, `version`, `create_revision`, `mod_revision`, `lease`; `is` is `==`, `!=`, `<` or `>`.  With `to` or `prefix` it, or
an operation, is about many keys.  Unknown fields are refused.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from runink.barn.commands import (
    Applied,
    Compare,
    Delete,
    DeleteDone,
    DeleteRange,
    Is,
    Of,
    Operation,
    Put,
    PutDone,
    Range,
    RangeDone,
    Result,
    Txn,
    TxnDone,
)
from runink.barn.keyvalue import Span, key_prefix, one_key
from runink.cli.barn_wording import item_json
from runink.errors import Invalid


class _Condition(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    to: str | None = None
    prefix: bool = False
    is_: Is = msgspec.field(default=Is.EQUAL, name="is")
    value: str | None = None
    value_base64: str | None = None
    version: int | None = None
    create_revision: int | None = None
    mod_revision: int | None = None
    lease: int | None = None


class _Operation(msgspec.Struct, forbid_unknown_fields=True):
    put: str | None = None
    get: str | None = None
    delete: str | None = None
    txn: _Txn | None = None
    value: str | None = None
    value_base64: str | None = None
    to: str | None = None
    prefix: bool = False
    lease: int = 0
    before: bool = False
    revision: int = 0
    limit: int = 0


class _Txn(msgspec.Struct, forbid_unknown_fields=True):
    if_: list[_Condition] = msgspec.field(default_factory=list, name="if")
    then: list[_Operation] = msgspec.field(default_factory=list)
    else_: list[_Operation] = msgspec.field(default_factory=list, name="else")


def transaction_of(document: bytes) -> Txn:
    """Return the transaction that a document tells. Raises Invalid (`txn_unreadable`)."""
    try:
        found = msgspec.json.decode(document, type=_Txn)
    except msgspec.MsgspecError as error:
        raise _unreadable(str(error)) from None
    return _txn(found)


def _unreadable(text: str) -> Invalid:
    hint = (
        'for example {"if": [{"key": "/a", "version": 0}], "then": [{"put": "/a", "value": "1"}]}'
    )
    return Invalid(f"the transaction cannot be read: {text}", code="txn_unreadable", hint=hint)


def _txn(found: _Txn) -> Txn:
    return Txn(
        tuple(map(_compare, found.if_)),
        tuple(map(_operation, found.then)),
        tuple(map(_operation, found.else_)),
    )


def _compare(condition: _Condition) -> Compare:
    numbers = {
        Of.VERSION: condition.version,
        Of.CREATE_REVISION: condition.create_revision,
        Of.MOD_REVISION: condition.mod_revision,
        Of.LEASE: condition.lease,
    }
    named: list[tuple[Of, int | bytes]] = [
        (of, number) for of, number in numbers.items() if number is not None
    ]
    value = _value(condition.value, condition.value_base64)
    if value is not None:
        named.append((Of.VALUE, value))
    if len(named) != 1:
        raise _unreadable(f"the condition on {condition.key} names {len(named)} things, not one")
    of, operand = named[0]
    span = _span(condition.key, condition.to, is_prefix=condition.prefix)
    is_one = condition.to is None and not condition.prefix
    return Compare(span.start, of, condition.is_, operand, None if is_one else span.end)


def _operation(found: _Operation) -> Operation:
    named = [one for one in (found.put, found.get, found.delete) if one is not None]
    if len(named) + (found.txn is not None) != 1:
        raise _unreadable("an operation is one of put, get, delete and txn")
    if found.txn is not None:
        return _txn(found.txn)
    key = named[0]
    span = _span(key, found.to, is_prefix=found.prefix)
    is_one = found.to is None and not found.prefix
    if found.get is not None:
        return Range(span.start, span.end, revision=found.revision, limit=found.limit)
    if found.delete is not None:
        if is_one:
            return Delete(key, want_before=found.before)
        return DeleteRange(span.start, span.end, want_before=found.before)
    value = _value(found.value, found.value_base64)
    if value is None or not is_one:
        raise _unreadable(f"the put of {key} needs a value, and is of one key")
    return Put(key, value, found.lease, want_before=found.before)


def _span(key: str, to: str | None, *, is_prefix: bool) -> Span:
    if is_prefix:
        return key_prefix(key)
    return one_key(key) if to is None else Span(key, to)


def _value(text: str | None, encoded: str | None) -> bytes | None:
    if encoded is None:
        return text.encode() if text is not None else None
    if text is not None:
        raise _unreadable("a value is text or base64, not both")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise _unreadable(f"a value is no base64: {error}") from None


def answer_json(answer: Applied) -> dict[str, Any]:
    """Return what a transaction was answered as a document."""
    return {
        "succeeded": answer.succeeded,
        "failed": answer.failed,
        "revision": answer.revision,
        "deleted": answer.deleted,
        "results": [_result_json(result) for result in answer.results],
        **({"results_gone": True} if answer.are_results_gone else {}),
    }


def _result_json(result: Result) -> dict[str, Any]:
    match result:
        case PutDone(before):
            return {"put": {"before": item_json(before)}}
        case DeleteDone(deleted, before):
            return {"delete": {"deleted": deleted, "before": [item_json(one) for one in before]}}
        case RangeDone(page):
            items = [item_json(one) for one in page.items]
            return {"get": {"items": items, "count": page.count, "more": page.more}}
        case TxnDone(succeeded, failed, results):
            inner = [_result_json(one) for one in results]
            return {"txn": {"succeeded": succeeded, "failed": failed, "results": inner}}
