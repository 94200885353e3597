"""`runi api`: a request of the HTTP API as it stands, with the context's credentials."""

from __future__ import annotations

import sys
from typing import Final

import click

from runink.cli.asking import Where, asking, asks_api
from runink.cli.given_texts import given_bytes
from runink.cli.wording import echo_json
from runink.client import Client
from runink.operations.declarations import JSON, Method

METHODS: Final = tuple(one.value for one in Method)
# What the client writes itself, and a second one would contradict.
_OURS: Final = frozenset({"authorization", "connection", "content-length", "host", "transfer-encoding"})  # fmt: skip
_TYPE: Final = "content-type"

Headers = tuple[tuple[str, str], ...]


@click.command()
@click.argument("method", metavar="METHOD", type=click.Choice(METHODS, case_sensitive=False))
@click.argument("path", metavar="PATH")
@click.option("-d", "--data", metavar="TEXT|@FILE|@-", help="The body: a text, a file, or standard input.")  # fmt: skip
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header; may be repeated.")  # fmt: skip
@click.option("--watch", is_flag=True, help="PATH is a stream: print its events, a JSON document a line.")  # fmt: skip
@asks_api
def api(
    *,
    where: Where,
    method: str,
    path: str,
    data: str | None,
    headers: tuple[str, ...],
    watch: bool,
) -> None:
    """Ask the HTTP API as it stands: `runi api GET /herds`. PATH is below /api/v1, or begins with it.

    The body of the answer is printed as it came. A refusal is told as by any other command, and has its exit code.
    """
    said = tuple(_header(text) for text in headers)
    body = None if data is None else given_bytes(data)
    if body is not None and not any(name.lower() == _TYPE for name, _ in said):
        said = (*said, ("Content-Type", JSON))
    if watch and (method.upper() != "GET" or body is not None):
        raise click.UsageError("--watch goes with GET, and without a body")
    with asking(where) as client:
        if watch:
            _watch(client, path, said)
            return
        answer = client.ask(method.upper(), path, headers=said, body=body)
    if answer.body:
        sys.stdout.flush()
        sys.stdout.buffer.write(answer.body)
        is_text = not answer.head.media_type.startswith("application/octet-stream")
        if is_text and not answer.body.endswith(b"\n"):
            sys.stdout.buffer.write(b"\n")


def _watch(client: Client, path: str, headers: Headers) -> None:
    with client.follow(path, headers=headers) as events:
        for event in events:
            echo_json(event)
            sys.stdout.flush()


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    name = name.strip()
    if not (colon and name):
        raise click.BadParameter(f"{text!r} is not NAME: VALUE", param_hint="--header")
    if name.lower() in _OURS:
        raise click.BadParameter(f"{name} is written by runi itself", param_hint="--header")
    return name, value.strip()
