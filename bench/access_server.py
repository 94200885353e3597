"""A server for `access_requests.py`, in a process of its own: the HTTP API of a cluster (`ours`; `anew` remembers no tokens), aiohttp with one handler that returns the same bytes (`plain`), or one that checks the token by python-jose's `jwt.decode` first (`checking`).

It prints its port and serves until its standard input ends.  Both run on uvloop, as servers do, without logs.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import msgspec
from aiohttp import web
from jose import jwt
from runink.api.app import Parts, make_app
from runink.api.limits import Limits
from runink.api.serving import Door, serving
from runink.clients.herds import create_herd
from runink.clock import now_ms
from runink.config import Address
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.checked_tokens import CheckedTokens
from runink.identity.keys import KeyRing, jwks
from runink.identity.principal_mapping import service_account_principal
from runink.identity.principals import Principal
from runink.identity.signing import ServiceAccountToken, SigningKey, mint, service_account_tokens
from runink.identity.tokens import TokenPolicy, verify
from runink.names import HerdName
from runink.operations.catalog.table import CATALOG
from runink.operations.cursors import Cursors
from runink.services.kept_calls import BarnCalls
from runink.testing.served import bound, served

KEY = SigningKey.from_entropy(bytes(range(32)))
ISSUER, AUDIENCE = "https://cluster.example", "runink"
HERD = HerdName("flights")


def token() -> str:
    """Return a token of a program that may read the herd."""
    now_s = now_ms() // 1000
    said = ServiceAccountToken(
        issuer=ISSUER,
        audience=AUDIENCE,
        issued_s=now_s,
        expires_s=now_s + 3000,
        token_id="a1b2c3d4-e5f6-7890-abcd-ef0123456789",
        herd=HERD,
        account="loader",
    )
    return mint(said, KEY)


async def authenticate(
    text: str, *, ring: KeyRing, policy: TokenPolicy, tokens: CheckedTokens | None
) -> Principal:
    """Check a token, by what is remembered of it if anything is."""
    now_s = now_ms() // 1000
    if tokens is None:
        return service_account_principal(verify(text, ring, policy, now_s=now_s))
    return service_account_principal(tokens.check(tokens.read(text), ring, policy, now_s=now_s))


@asynccontextmanager
async def ours(*, remembers: bool = True) -> AsyncIterator[int]:
    """Serve a cluster in memory, and yield the port. Members remember tokens; who does not checks each one anew."""
    binding = bound("loaders", "viewer", f"service-account:{HERD}/loader", herd=HERD)
    async with served(bindings=[binding]) as world:
        world.access.now_ms = now_ms()  # or the token would have ended
        await create_herd(world.barn, HerdRecord(HERD, description="on time"), By("operator:x", 1))
        ring, policy = (
            KeyRing.of([KEY.verification]),
            service_account_tokens(ISSUER, AUDIENCE),
        )
        parts = Parts(
            service=world.services,
            authenticate=partial(
                authenticate,
                ring=ring,
                policy=policy,
                tokens=CheckedTokens() if remembers else None,
            ),
            authorize=world.access,
            keys=BarnCalls(world.barn),
            cursors=Cursors([b"k" * 32]),
            limits=Limits(requests_per_s=1e9, requests_burst=1_000_000_000),
        )
        async with serving(make_app(CATALOG, parts), [Door(Address("127.0.0.1", 0))]) as server:
            yield server.addresses[0][1]


@asynccontextmanager
async def plain(*, checks: bool = False) -> AsyncIterator[int]:
    """Serve the same bytes, and nothing else but a check of the token, if so."""
    body = msgspec.json.encode({"herd": HERD, "state": "declared", "domain": "", "description": "on time", "labels": {}, "revision": 3})  # fmt: skip

    (public,) = jwks([KEY.verification])["keys"]

    async def handle(request: web.Request) -> web.Response:
        if checks:
            bearer = request.headers["Authorization"].removeprefix("Bearer ")
            jwt.decode(bearer, public, ["ES256"], audience=AUDIENCE, issuer=ISSUER)
        return web.Response(body=body, content_type="application/json", headers={"ETag": '"3-aaaaaaaaaaaaaaaa"'})  # fmt: skip

    app = web.Application()
    app.router.add_get("/api/v1/herds/{herd}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def main(kind: str) -> None:
    kinds = {
        "ours": ours,
        "anew": partial(ours, remembers=False),
        "plain": plain,
        "checking": partial(plain, checks=True),
    }
    async with kinds[kind]() as port:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await anyio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], backend_options={"use_uvloop": True})
