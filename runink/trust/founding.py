"""How a cluster begins: its first member makes the root key, the authority, and its own certificate, before there is a Barn to keep them.

    1. root.key                the root key, unless it is there
    2. trust/founding          the authority with its sealed key, the certificate's record, and a hash of the word for the first administrator; from here on it is decided
    3. trust/certificate.pem   the member's certificate
    4. (the member runs)       all of it is written into the Barn, in one transaction that finds none there; then trust/founding goes

Cut between any two of them it goes on where it was, at the next start; only the word is another one, as nobody may have seen the first.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace as changed

from runink.actors.trust import Founding
from runink.actors.trust_rotation import sealed_key
from runink.certificates.authority import Grant, issue, make_authority, make_request, read_request
from runink.certificates.names import SERIAL_BYTES, cluster_name, serial_of
from runink.certificates.renewal import recorded
from runink.certificates.roles import NodeRole
from runink.certificates.rotation import founded, trusted_bundle
from runink.config import TRUST_FOLDER
from runink.errors import Conflict, Refused
from runink.identity.bootstrap import SECRET_BYTES, make_word
from runink.names import NodeId
from runink.private_files import make_private_folder, read_private, replace_private
from runink.root_key import ROOT_KEY, make_root_key
from runink.secrets.seal import NONCE_BYTES
from runink.syncing import sync_place
from runink.trust_files import TrustFolder

FOUNDING: Final = "founding"
_CODE: Final = "bad_founding"


def found(state: Path, cluster: str, name: NodeId, *, now_s: int) -> str:
    """Make what a cluster begins with, in the state folder of its first member, and return the word that makes its first administrator. Raises Conflict (`already_founded`), Invalid for a name of a cluster that is none, OSError."""
    folder = TrustFolder(state / TRUST_FOLDER)
    if folder.load() is not None:
        raise Conflict(
            f"{state} belongs to a cluster already",
            code="already_founded",
            hint="start the member without --init",
        )
    cluster_name(cluster)
    make_private_folder(state / TRUST_FOLDER)
    root = make_root_key(state / ROOT_KEY)
    known = read_founding(state)
    if known is None:
        authority = make_authority(
            cluster,
            ec.generate_private_key(ec.SECP256R1()),
            serial=serial_of(os.urandom(SERIAL_BYTES)),
            now_s=now_s,
        )
        requested = read_request(make_request(folder.next_key(), name))
        serial = serial_of(os.urandom(SERIAL_BYTES))
        grant = Grant(role=NodeRole.SERVER, name=name, generation=1, serial=serial)
        certificate = issue(authority, requested, grant, now_s=now_s)
        known = Founding(
            founded(authority.trusted, now_s=now_s),
            sealed_key(authority, root, nonce=os.urandom(NONCE_BYTES)),
            (recorded(None, certificate, None, now_s=now_s),),
        )
    word, kept = make_word(os.urandom(SECRET_BYTES), now_s=now_s)
    known = changed(known, bootstrap=kept)
    replace_private(state / TRUST_FOLDER / FOUNDING, msgspec.msgpack.encode(known))
    folder.install(known.records[0].certificate, trusted_bundle(known.authorities))
    return word


def read_founding(state: Path) -> Founding | None:
    """Return what was made and is not in the Barn yet, nothing otherwise. Raises Refused (`bad_founding`), OSError."""
    path = state / TRUST_FOLDER / FOUNDING
    try:
        return msgspec.msgpack.decode(read_private(path, code=_CODE), type=Founding)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise Refused(f"{path} is damaged: {error}", code=_CODE, hint="begin anew in an empty folder") from error  # fmt: skip


def forget_founding(state: Path) -> None:
    """Take note that it is in the Barn."""
    path = state / TRUST_FOLDER / FOUNDING
    path.unlink(missing_ok=True)
    sync_place(path.parent)
