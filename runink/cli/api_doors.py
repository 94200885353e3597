"""The HTTP API of a cluster in one process, and what a command that serves one tells of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from runink.actors.shelf import Shelf
from runink.actors.written_files import WrittenFiles
from runink.cli.wording import harmless
from runink.clients.cluster import Cluster
from runink.clients.node_files import SHELF
from runink.config import ApiSettings
from runink.errors import Refused
from runink.observe.api_metrics import ApiMetrics
from runink.runtime.supervisor import ChildSpec, supervise

if TYPE_CHECKING:
    from runink.api.serving import Serving

LOCAL: Final = "local"  # what a cluster of one process calls itself in tokens


@asynccontextmanager
async def api_served(
    settings: ApiSettings | None, cluster: Cluster, counted: ApiMetrics
) -> AsyncIterator[None]:
    """Serve the HTTP API of an embedded cluster, if there are settings for it, and count what it does. Raises Invalid, Refused."""
    if settings is None:
        yield
        return
    from runink.letting_in import start_letting_in  # noqa: PLC0415 - who serves no API pays for none of it
    from runink.root_key import (  # noqa: PLC0415 - loads cryptography
        ROOT_KEY,
        make_root_key,
        read_root_keys,
        read_signing_roots,
    )
    from runink.services.cursor_keys import cursor_keys  # noqa: PLC0415 - as letting_in
    from runink.services.offer import offer_of  # noqa: PLC0415 - as letting_in
    from runink.serving_api import serving_api  # noqa: PLC0415 - loads aiohttp

    settings.validate()
    path = settings.socket.with_name(ROOT_KEY)
    make_root_key(path)
    keys = cursor_keys(key.data for key in reversed(read_root_keys(path)))
    async with supervise() as supervisor:
        letting_in = await start_letting_in(
            supervisor, lambda: cluster.barn, cluster=LOCAL, roots=partial(read_signing_roots, path)
        )
        letters = WrittenFiles(cluster.barn)
        make = partial(Shelf, settings.socket.parent / "runs", letters.read)
        files = await supervisor.start(ChildSpec(SHELF, make))
        whole = replace(cluster, identity=letting_in.identity, files=files)
        async with serving_api(settings, offer_of(whole, letting_in.board, counted), keys):
            yield


def tell_api(settings: ApiSettings | None) -> None:
    """Say where the API listens, for a person to copy."""
    if settings is None:
        return
    click.echo(f"api: unix:{settings.socket}", err=True)
    if settings.listen is not None:
        scheme = "http" if settings.certificate is None else "https"
        click.echo(f"api: {scheme}://{settings.listen}/api/v1/docs", err=True)


def reload_api(server: Serving | None) -> None:
    """Take in its certificate as it is on the disk now, or say why not: the old one is served then."""
    if server is None:
        return
    try:
        server.reload()
    except Refused as error:
        click.echo(harmless(f"certificate not taken in: {error.text}"), err=True)
    else:
        click.echo("certificate taken in", err=True)
