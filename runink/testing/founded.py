"""A cluster's trust made in advance: for tests that begin with several members at once, or look at who is let in, and not at how nodes join."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from runink.actors.trust import Founding
from runink.actors.trust_rotation import sealed_key
from runink.certificates.renewal import recorded
from runink.certificates.roles import NodeRole
from runink.certificates.rotation import founded
from runink.config import TRUST_FOLDER
from runink.private_files import create_private, make_private_folder, replace_private
from runink.root_key import ROOT_KEY, line_of
from runink.secrets.seal import KEY_BYTES, NONCE_BYTES, RootKey
from runink.testing.node_certificates import (
    NOW_S,
    Node,
    authority_of_test,
    bundle,
    certified,
)
from runink.trust.founding import FOUNDING
from runink.trust_files import AUTHORITY, CERTIFICATE, KEY

CLUSTER: Final = "runink"


class FoundedCluster:
    """An authority, and nodes by name that it has certified. Who is in it is known to the Barn when the first member has begun."""

    def __init__(self, *, servers: int, agents: tuple[str, ...] = (), clients: tuple[str, ...] = ()) -> None:  # fmt: skip
        self.authority = authority_of_test(CLUSTER)
        self._root = RootKey(1, os.urandom(KEY_BYTES))
        wanted = [(NodeRole.SERVER, f"member-{number}") for number in range(1, servers + 1)]
        wanted += [(NodeRole.AGENT, name) for name in agents]
        wanted += [(NodeRole.CLIENT, name) for name in clients]
        self.nodes = {name: certified(self.authority, role, name) for role, name in wanted}

    def certify(self, folder: Path, name: str) -> Path:
        """Write a node's trust folder, and return it."""
        identity = self.nodes[name].identity(self.authority)
        make_private_folder(folder)
        replace_private(folder / AUTHORITY, identity.authority)
        replace_private(folder / KEY, identity.key)
        replace_private(folder / CERTIFICATE, identity.certificate)
        return folder

    def provide(self, state: Path, member: int) -> None:
        """Write what a member has before it begins; the first one founds the cluster."""
        self.certify(state / TRUST_FOLDER, f"member-{member}")
        create_private(state / ROOT_KEY, line_of(self._root))
        if member == 1:
            create_private(state / TRUST_FOLDER / FOUNDING, msgspec.msgpack.encode(self._founding()))  # fmt: skip

    def _founding(self) -> Founding:
        records = tuple(recorded(None, node.der, None, now_s=NOW_S) for node in self.nodes.values())
        sealed = sealed_key(self.authority, self._root, nonce=os.urandom(NONCE_BYTES))
        return Founding(founded(self.authority.trusted, now_s=NOW_S), sealed, records)


def stranger(name: str = "member-1") -> tuple[Node, bytes]:
    """Return a node of another cluster's authority, and the bundle of that."""
    other = authority_of_test(CLUSTER)
    return certified(other, NodeRole.SERVER, name), bundle(other)
