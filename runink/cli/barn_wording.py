"""How the commands of `runi barn` print keys, and keep people's hands off those of the control plane."""

from __future__ import annotations

import base64
from typing import Any, Final, assert_never

import click

from runink.barn.commands import Delete, DeleteRange, Operation, Put, Range, Txn
from runink.barn.keys import own_prefix_in
from runink.barn.keyvalue import Change, KeyValue, Span, key_prefix, one_key
from runink.errors import Forbidden

SHOWN_CHARACTERS: Final = 2000  # of a value, for people; JSON has it whole

key_argument = click.argument("key")
prefix_option = click.option("--prefix", is_flag=True, help="All keys that begin with KEY.")
to_option = click.option(
    "--to", metavar="KEY", help="All keys from KEY up to, not including, this one."
)
force_option = click.option(
    "--force",
    is_flag=True,
    help="Also below the control plane's own prefixes; that can break the cluster.",
)


def span_of(key: str, *, is_prefix: bool, to: str | None) -> Span:
    """Return the span that a command line names. Raises BadParameter."""
    if is_prefix and to is not None:
        raise click.BadParameter("a prefix has an end already", param_hint="--to")
    if is_prefix:
        return key_prefix(key)
    return one_key(key) if to is None else Span(key, to)


def value_json(value: bytes) -> dict[str, str]:
    """Return a value as fields of a document: as text where it is some, in base64 otherwise."""
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value).decode()}


def item_json(item: KeyValue | None) -> dict[str, Any] | None:
    """Return a key as a document."""
    if item is None:
        return None
    return {
        "key": item.key,
        **value_json(item.value),
        "create_revision": item.create_revision,
        "mod_revision": item.mod_revision,
        "version": item.version,
        "lease": item.lease,
    }


def change_json(change: Change) -> dict[str, Any]:
    """Return a change as a document."""
    return {
        "revision": change.revision,
        "type": "put" if change.now is not None else "delete",
        "key": change.key,
        "now": item_json(change.now),
        "before": item_json(change.before),
    }


def value_text(value: bytes) -> str:
    """Return a value as people read it, on one line; bytes that are no text in Python's way."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = repr(value)[2:-1]
    else:
        text = "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
    more = len(text) - SHOWN_CHARACTERS
    return text if more <= 0 else f"{text[:SHOWN_CHARACTERS]}… {more} more characters"


def refuse_own(operation: Operation, *, is_forced: bool) -> None:
    """Refuse what writes to the control plane's keys. Raises Forbidden (`own_keys`)."""
    if is_forced:
        return
    match operation:
        case Txn(_, then, otherwise):
            for inner in (*then, *otherwise):
                refuse_own(inner, is_forced=False)
        case Put(key) | Delete(key):
            _refuse(one_key(key))
        case DeleteRange(start, end):
            _refuse(Span(start, end))
        case Range():
            return
        case _:
            assert_never(operation)


def _refuse(span: Span) -> None:
    own = own_prefix_in(span)
    if own:
        raise Forbidden(
            f"the keys below {own} are the control plane's own; another value there can break runs or the cluster",
            code="own_keys",
            hint="keep your own keys below another prefix; --force writes there nevertheless",
        )
