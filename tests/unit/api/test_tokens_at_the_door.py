"""Tokens over HTTP, with all that stands behind a member's API: what the cluster has signed is let in, and everything else gets the same answer."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from base64 import b64encode, urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from runink.actors.signing_keys import place_of
from runink.barn.keys import ACCOUNTS, BINDINGS, OF_CLUSTER
from runink.clients.access import taking
from runink.clients.barn import Transaction
from runink.clients.cluster import Cluster
from runink.clients.herds import create_herd
from runink.clients.identity_requests import MintToken, RevokeAccount
from runink.clock import now_ms
from runink.config import Address, ApiSettings
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.identity.accounts import ServiceAccount
from runink.identity.key_records import KeyState, private_key
from runink.identity.roles import Binding, RoleOf
from runink.identity.signing import SigningKey
from runink.letting_in import LettingIn, start_letting_in
from runink.names import AccountName, BindingName, HerdName, RoleName
from runink.observe.api_metrics import ApiMetrics
from runink.operations.hearing import Hearing
from runink.operations.rates import Rates
from runink.root_key import ROOT_KEY, SIGNING, make_root_key, read_signing_roots
from runink.runtime.supervisor import supervise
from runink.secrets.seal import derived, opened
from runink.services.cursor_keys import cursor_keys
from runink.services.offer import offer_of
from runink.serving_api import serving_api
from runink.testing.served import OPERATOR, served
from runink.testing.tokens import Issuer, base64url, document, ec_key

pytestmark = pytest.mark.anyio
HERD, PROGRAM = HerdName("sales"), AccountName("nightly")
SOON_S = 10.0
Members = dict[str, Any]
Make = Callable[[str, Issuer], str]  # of a good token and of whoever has signed it


@dataclass
class Door:
    """A member's API, the token of a program that may read the herd, and the key that has signed it."""

    url: str
    session: aiohttp.ClientSession
    letting_in: LettingIn
    good: str
    key: SigningKey
    cluster: Cluster

    async def ask(self, token: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.get(f"{self.url}/herds/{HERD}", headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def refuses(self, token: str) -> bool:
        """Say whether a token is refused, in the words in which all are."""
        status, told = await self.ask(token)
        told.pop("request_id", "")
        return (status, told) == (401, REFUSAL)


REFUSAL = {
    "type": "/api/v1/docs#problem-unauthenticated",
    "title": "Not known who asks",
    "status": 401,
    "detail": "Send a valid token: `Authorization: Bearer TOKEN`.",
    "instance": f"/api/v1/herds/{HERD}",
    "code": "unauthenticated",
    "hint": "get a new one; why this one was refused stands in the log of whoever refused it",
}


@asynccontextmanager
async def door(folder: Path) -> AsyncIterator[Door]:
    root = make_root_key(folder / ROOT_KEY)
    settings = ApiSettings(socket=folder / "api.sock", listen=Address("127.0.0.1", 0))
    async with served() as world, supervise() as supervisor, aiohttp.ClientSession() as session:
        barn = world.barn
        await create_herd(barn, HerdRecord(HERD), By(OPERATOR.subject, now_ms()))
        account = ServiceAccount(herd=HERD, name=PROGRAM, made_ms=now_ms())
        await barn.put(ACCOUNTS.key(HERD, PROGRAM), account)
        subject = f"service-account:{HERD}/{PROGRAM}"
        role = Binding(BindingName("all"), "*", RoleName("viewer"), RoleOf.BUILT_IN, (subject,))
        revision = (await barn.commit(Transaction().put(BINDINGS.key(OF_CLUSTER, "all"), role))).revision  # fmt: skip
        letting_in = await start_letting_in(
            supervisor,
            lambda: barn,
            cluster="farm",
            roots=partial(read_signing_roots, folder / ROOT_KEY),
        )
        board = letting_in.board
        await board.wait_past(revision - 1, within=SOON_S)
        async with asyncio.timeout(SOON_S):
            while not len(board.facts.signing):
                await board.wait_past(board.facts.revision, within=SOON_S)
        record = next(
            one.value for one in board.facts.signing if one.value.state is KeyState.ACTIVE
        )
        key = private_key(
            record, opened(derived(root, SIGNING), place_of(record.kid), record.sealed)
        )
        minted = await letting_in.identity.ask(
            MintToken(OPERATOR, HERD, PROGRAM, 600), within=SOON_S
        )
        offer = offer_of(replace(world.cluster, identity=letting_in.identity), board, ApiMetrics())
        failed = Rates(per_s=1.0, burst=1_000)  # or most of these tests would be unheard
        hearing = Hearing(board.authenticate, clock=time.monotonic, failed=failed)
        offer = replace(offer, hearing=hearing)
        async with serving_api(settings, offer, cursor_keys(())) as server:
            port = next(one[1] for one in server.addresses if isinstance(one, tuple))
            url = f"http://127.0.0.1:{port}/api/v1"
            yield Door(url, session, letting_in, minted.token, key, world.cluster)


def parts(token: str) -> tuple[Members, Members]:
    """Return head and claims of a token."""
    texts = token.split(".")[:2]
    head, claims = (json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4))) for text in texts)
    return head, claims


def other_claims(**changes: Any) -> Make:
    """Have claims changed, and all of it signed by the cluster's own key; nothing takes one out."""

    def make(token: str, ours: Issuer) -> str:
        head, claims = parts(token)
        now = {name: one(claims) if callable(one) else one for name, one in changes.items()}
        left = {name: one for name, one in (claims | now).items() if one is not None}
        return ours.token(left, head, key="ec")

    return make


def other_head(**changes: Any) -> Make:
    def make(token: str, ours: Issuer) -> str:
        head, claims = parts(token)
        left = {name: one for name, one in (head | changes).items() if one is not None}
        return ours.token(claims, left, key="ec")

    return make


def unsigned(algorithm: str, signature: str) -> Make:
    def make(token: str, _: Issuer) -> str:
        head, claims = parts(token)
        return f"{base64url(document(head | {'alg': algorithm}))}.{base64url(document(claims))}.{signature}"

    return make


def by_public_key(encoding: Encoding, form: PublicFormat) -> Make:
    """Sign with HS256, with the public key for a secret."""

    def make(token: str, ours: Issuer) -> str:
        head, claims = parts(token)
        signed = f"{base64url(document(head | {'alg': 'HS256'}))}.{base64url(document(claims))}"
        secret = ours.ec.public_key().public_bytes(encoding, form)
        return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"

    return make


def by_another_key(token: str, _: Issuer) -> str:
    head, claims = parts(token)
    return Issuer(ec=ec_key(2)).token(claims, head, key="ec")


def with_another_signature(token: str, _: Issuer) -> str:
    text, _, signature = token.rpartition(".")
    return f"{text}.{signature[:-4]}AAAA"


SPKI = PublicFormat.SubjectPublicKeyInfo
ATTACKS: dict[str, Make] = {
    "alg none": unsigned("none", "AAAA"),
    "alg nOnE": unsigned("nOnE", "AAAA"),
    "HS256 by the public key as PEM": by_public_key(Encoding.PEM, SPKI),
    "HS256 by the public key as DER": by_public_key(Encoding.DER, SPKI),
    "HS256 by the public key as a point": by_public_key(Encoding.X962, PublicFormat.UncompressedPoint),
    "another key": by_another_key,
    "another signature": with_another_signature,
    "no key's id": other_head(kid=None),
    "a key that nobody knows": other_head(kid="x"),
    "the type of an ID token": other_head(typ="JWT"),
    "the type of a slice": other_head(typ="runink-slice+jwt"),
    "a header that must be understood": other_head(crit=["x"], x=1),
    "a key that it brings": other_head(jwk={"kty": "oct", "k": "AAAA"}),
    "expired": other_claims(exp=lambda one: one["iat"] - 60, iat=lambda one: one["iat"] - 600),
    "from the future": other_claims(iat=lambda one: one["iat"] + 600, exp=lambda one: one["exp"] + 600),
    "without an end": other_claims(exp=None),
    "an end that is a text": other_claims(exp="4000000000"),
    "a life of a year": other_claims(exp=lambda one: one["iat"] + 31_536_000),
    "another audience": other_claims(aud="https://other.example"),
    "no audience": other_claims(aud=None),
    "another issuer": other_claims(iss="urn:runink:other"),
    "an issuer within": other_claims(iss="http://127.0.0.1:1/keys"),
    "another herd than its subject": other_claims(herd="stock"),
    "an account that is not there": other_claims(account="other", sub="sales/other", client_id="sales/other"),
    "without an id": other_claims(jti=None),
    "without a subject": other_claims(sub=None),
}  # fmt: skip


async def test_a_token_that_the_cluster_has_signed_is_let_in(tmp_path: Path) -> None:
    async with door(tmp_path) as api:
        status, told = await api.ask(api.good)
        assert (status, told["herd"]) == (200, HERD)


async def test_no_token_that_it_has_not_signed_so_is_let_in_and_all_are_refused_alike(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as api:
        ours = Issuer(ec=api.key.private)
        let_in = [
            name for name, make in ATTACKS.items() if not await api.refuses(make(api.good, ours))
        ]
        assert let_in == []
        assert (await api.ask(other_claims()(api.good, ours)))[
            0
        ] == 200  # what all of them were made of


async def test_what_was_taken_back_is_refused_at_once(tmp_path: Path) -> None:
    async with door(tmp_path) as api:
        assert not await api.refuses(api.good)
        revoke = RevokeAccount(OPERATOR.subject, HERD, PROGRAM)
        await api.letting_in.identity.ask(revoke, within=SOON_S)
        assert await api.refuses(api.good)


async def test_a_binding_that_ends_takes_its_rights_with_it(tmp_path: Path) -> None:
    async with door(tmp_path) as api:
        known = api.letting_in.board.facts.revision
        await api.cluster.barn.commit(taking(Transaction(), BINDINGS.key(OF_CLUSTER, "all")))
        await api.letting_in.board.wait_past(known, within=SOON_S)
        assert (await api.ask(api.good))[0] == 404


async def test_a_client_of_oauth_may_show_itself_by_the_scheme_basic(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        codes = []
        shown = b64encode(f"{HERD}/{PROGRAM}:rnc1.0.wrong".encode()).decode()
        for headers in ({}, {"Authorization": f"Basic {shown}"}):
            form = {"grant_type": "client_credentials"}
            async with at.session.post(f"{at.url}/token", data=form, headers=headers) as answer:
                codes.append((await answer.json(content_type=None))["code"])
        assert codes == ["invalid", "invalid_client"]
