"""How a node joins a cluster with a token.

    1. who answers at an address is asked for its authorities, and verified by nobody: nothing secret is said
    2. the one that the token's pin names is kept; from here on it alone is trusted
    3. over TLS that it vouches for the token goes there, with a request that the node's new key has signed
    4. the certificate that comes back, and whom to trust, become the files of the trust folder

An answer that was lost is asked for again with the same key, and is the same join.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from runink.certificates.authority import make_request
from runink.certificates.join_tokens import JoinWord, parse_word
from runink.certificates.names import CertifiedNode
from runink.certificates.pins import pinned
from runink.certificates.roles import CONTROL
from runink.clients.cluster import TRUST
from runink.clients.trust_requests import Admission, AuthorityOf, Join
from runink.config import Address
from runink.errors import LinkLost, Unavailable
from runink.names import node_id
from runink.runtime.connections import Dialled, Peer, connect_tcp
from runink.runtime.directory import Directory
from runink.trust.entrance import JOINING
from runink.trust_files import TrustFolder
from runink.wire.tls import TlsIdentity, asking_context, connecting_from

JOINER: Final = "joiner"  # what a node is called that has no name yet
WITHIN_S: Final = 10.0


async def enrolled(
    folder: Path, word: str, servers: Sequence[Address], *, name: str = ""
) -> tuple[CertifiedNode, Admission]:
    """Join by one of these servers, and return who the node is now. `name` is the wanted one, empty for the token's.

    Raises Invalid (`bad_join_token`, `invalid_name`), Forbidden (`wrong_authority`, `join_token_…`, `node_exists`), LinkLost where none can be reached.
    """
    read = parse_word(word)
    if name:
        node_id(name)
    trust = TrustFolder(folder)
    request = make_request(trust.next_key(), name or JOINER)
    trouble: Unavailable = LinkLost("no server is named", hint="--server HOST:PORT")
    for address in servers:
        try:
            admission = await _admitted(address, read, Join(str(read), request, name))
        except Unavailable as error:
            trouble = error
            continue
        return trust.install(admission.certificate, admission.bundle.pem), admission
    raise trouble


async def _admitted(address: Address, word: JoinWord, join: Join) -> Admission:
    async with _asking(address, Dialled(asking_context(), CONTROL)) as peer:
        bundle = await peer.ref(TRUST).ask(AuthorityOf(), within=WITHIN_S)
    authority = pinned(bundle.pem, word.pin)
    context = connecting_from(TlsIdentity(authority.pem.encode()))
    async with _asking(address, Dialled(context, CONTROL)) as peer:
        return await peer.ref(TRUST).ask(join, within=WITHIN_S)


@asynccontextmanager
async def _asking(address: Address, tls: Dialled) -> AsyncIterator[Peer]:
    async with connect_tcp(
        address.host,
        address.port,
        directory=Directory(JOINER),
        credentials=JOINING,
        tls=tls,
    ) as peer:
        yield peer
