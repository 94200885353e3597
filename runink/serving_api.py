"""The HTTP API of a member, or of an embedded cluster: what it offers, behind its doors.

    door                       who may come                               needs
    the socket                 who runs the server, as operator           -
    HOST:PORT                  everybody with a token                     a certificate, beyond loopback

A certificate that is renewed on the disk is taken in by itself, within LOOK_S, or at once by `reload`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio

from runink.api.app import Parts, make_app
from runink.api.serving import Certificate, Door, Serving, serving
from runink.config import ApiSettings
from runink.errors import Refused
from runink.identity.principals import Principal, PrincipalKind
from runink.machine_reading import user_name
from runink.observe.api_metrics import Carrier
from runink.operations.catalog.table import CATALOG
from runink.operations.cursors import Cursors
from runink.services.offer import Offer

LOOK_S: Final = 30.0  # between two looks at a certificate: it is renewed days before its end

_log = logging.getLogger(__name__)


@asynccontextmanager
async def serving_api(
    settings: ApiSettings, offer: Offer, keys: Sequence[bytes]
) -> AsyncIterator[Serving]:
    """Serve the API while the block runs. `keys` are those of cursors. Raises Refused (`insecure_listener`, `certificate_unusable`, `address_taken`)."""
    parts = Parts(
        service=offer.services,
        authenticate=offer.hearing.authenticate,
        authorize=offer.access,
        keys=offer.keys,
        cursors=Cursors(keys),
        operator=Principal(PrincipalKind.OPERATOR, user_name(os.geteuid())),
        shared=frozenset(settings.origins),
        hearing=offer.hearing,
        metrics=offer.metrics,
    )
    async with (
        serving(make_app(CATALOG, parts), _doors(settings)) as server,
        anyio.create_task_group() as tasks,
    ):
        offer.metrics.watch(Carrier.HTTP, "server", server.statistics)
        if settings.certificate is not None and settings.key is not None:
            tasks.start_soon(_renew, server, (settings.certificate, settings.key))
        try:
            yield server
        finally:
            offer.metrics.leave(Carrier.HTTP, "server")
            tasks.cancel_scope.cancel()


def _doors(settings: ApiSettings) -> list[Door]:
    doors = [Door(settings.socket)]
    if settings.listen is not None:
        certificate = None
        if settings.certificate is not None and settings.key is not None:
            certificate = Certificate(settings.certificate, settings.key)
        doors.append(Door(settings.listen, certificate))
    return doors


async def _renew(server: Serving, files: tuple[Path, ...]) -> None:
    """Take in the certificate whenever its files have changed, and say so once if they cannot be used: the old one is served meanwhile."""
    taken = refused = _seen(files)
    while True:  # ends by being cancelled
        await anyio.sleep(LOOK_S)
        now = _seen(files)
        if now in {taken, refused}:
            continue
        try:
            server.reload()
        except Refused as error:
            _log.warning("certificate not taken in: %s", error.text, extra={"code": error.code})
            refused = now
        else:
            _log.info("certificate taken in", extra={"certificate": str(files[0])})
            taken = refused = now


def _seen(files: tuple[Path, ...]) -> tuple[tuple[int, int, int], ...]:
    """Return what changes when a file is written or replaced; nothing for one that is not there."""
    found = []
    for file in files:
        try:
            told = file.stat()
        except OSError:
            continue
        found.append((told.st_ino, told.st_mtime_ns, told.st_size))
    return tuple(found)
