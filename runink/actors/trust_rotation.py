"""Carries out the steps of a rotation of authorities (`certificates/rotation.py`): one record, compared and swapped, and with it the key that comes or goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from runink.actors.tables import load
from runink.actors.trust_board import BUNDLE_KEY, PREFIXES, TrustBoard
from runink.actors.trust_facts import no_authority
from runink.barn.keys import AUTHORITY_KEYS
from runink.certificates.authority import Authority, make_authority
from runink.certificates.denials import Denied
from runink.certificates.names import SERIAL_BYTES, serial_of
from runink.certificates.roles import Fingerprint
from runink.certificates.rotation import Authorities, Phase, Waiting, abandon, advance, begin
from runink.clients.barn import BarnClient, Found, Transaction
from runink.clients.trust_requests import Rotate, Step
from runink.clients.turns import in_turns
from runink.errors import Conflict, Refused
from runink.secrets.seal import NONCE_BYTES, Place, RootKey, key_version_of, seal

AUTHORITY_KIND: Final = "authority"


def place_of(fingerprint: Fingerprint) -> Place:
    """Return what the sealed key of an authority is bound to: it has one version."""
    return Place(AUTHORITY_KIND, (fingerprint,), 1)


def root_key_for(keys: tuple[RootKey, ...], record: bytes) -> RootKey:
    """Return the root key that a record was sealed with. Raises Refused (`seal_key`) where it is not there."""
    version = key_version_of(record)
    for key in keys:
        if key.version == version:
            return key
    raise Refused(
        f"root key {version} is not in this member's file",
        code="seal_key",
        hint="copy the file from another member of this cluster",
    )


def sealed_key(authority: Authority, root: RootKey, *, nonce: bytes) -> bytes:
    """Return the key of an authority as it lies in the Barn."""
    place = place_of(authority.trusted.fingerprint)
    return seal(root, place, authority.key_bytes(), nonce=nonce)


class Rotation:
    """One for a trust actor."""

    def __init__(
        self,
        barn: BarnClient,
        *,
        now_s: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        root_keys: Callable[[], tuple[RootKey, ...]],
    ) -> None:
        self._barn = barn
        self._now_s = now_s
        self._random_bytes = random_bytes
        self._root_keys = root_keys

    async def step(self, message: Rotate) -> None:
        """Take a step. Raises Forbidden for one that does not come now, Conflict (`rotation_waits`)."""

        async def turn() -> bool | None:
            board = TrustBoard()
            board.load((await load(self._barn, PREFIXES)).items)
            if board.authorities is None:
                raise no_authority()
            return await self._taken(board, board.authorities, message) or None

        await in_turns("the cluster's authorities", turn)

    async def _taken(self, board: TrustBoard, found: Found[Authorities], message: Rotate) -> bool:
        before, now_s = found.value, self._now_s()
        transaction = Transaction().if_revision(BUNDLE_KEY, found.revision)
        after: Authorities | Waiting | Denied
        match message.step:
            case Step.BEGIN:
                coming = self._made(before.current.cluster)
                after = begin(before, coming.trusted, now_s=now_s)
                sealed = sealed_key(
                    coming, self._root_keys()[-1], nonce=self._random_bytes(NONCE_BYTES)
                )
                transaction = transaction.put(
                    AUTHORITY_KEYS.key(coming.trusted.fingerprint), sealed
                )
            case Step.ADVANCE:
                after = advance(before, board.views(), now_s=now_s, is_forced=message.is_forced)
                if before.phase is Phase.ISSUING:
                    gone = AUTHORITY_KEYS.key(before.current.fingerprint)
                    transaction = transaction.delete(gone)
            case Step.ABANDON:
                after = abandon(before, now_s=now_s)
                if before.coming is not None:
                    gone = AUTHORITY_KEYS.key(before.coming.fingerprint)
                    transaction = transaction.delete(gone)
        match after:
            case Denied():
                raise after.error()
            case Waiting():
                raise Conflict(
                    str(after),
                    code="rotation_waits",
                    hint="try it again when they have; --force goes on, and cuts them off",
                )
        return (await self._barn.commit(transaction.put(BUNDLE_KEY, after))).succeeded

    def _made(self, cluster: str) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        serial = serial_of(self._random_bytes(SERIAL_BYTES))
        return make_authority(cluster, key, serial=serial, now_s=self._now_s())
