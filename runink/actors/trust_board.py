"""What a member knows of the cluster's authorities and nodes: kept up from the Barn by its trust actor, looked at by its entrance for everybody who comes.

Until the cluster's authority stands on it nobody is known.  Then servers come in by their certificate alone: without each other they would have no Barn to write that to, or to load it from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from runink.barn.keys import AUTHORITY, CERTIFICATES, TRUSTING
from runink.barn.keyvalue import Change, KeyValue
from runink.certificates.denials import Denied
from runink.certificates.names import CertifiedNode
from runink.certificates.renewal import NodeCertificate, why_refused
from runink.certificates.roles import NodeRole
from runink.certificates.rotation import Authorities, NodeView
from runink.clients.barn import Found, decode_value
from runink.names import NodeId

T = TypeVar("T")
Node = tuple[NodeRole, NodeId]

BUNDLE_KEY = AUTHORITY.key("bundle")
PREFIXES = (AUTHORITY.prefix(), CERTIFICATES.prefix(), TRUSTING.prefix())


class TrustBoard:
    """One for a member. `changed` is called whenever something on it has changed."""

    def __init__(self) -> None:
        self.authorities: Found[Authorities] | None = None
        self.changed: Callable[[], object] = _nobody
        self._records: dict[str, Found[NodeCertificate]] = {}
        self._trusting: dict[str, NodeView] = {}

    def load(self, items: Iterable[KeyValue]) -> None:
        """Take what the Barn holds, and forget all else."""
        self.authorities = None
        self._records.clear()
        self._trusting.clear()
        for item in items:
            self._put(item)
        self.changed()

    def apply(self, changes: Iterable[Change]) -> None:
        """Take what has changed there."""
        for change in changes:
            if change.now is not None:
                self._put(change.now)
                continue
            self._records.pop(change.key, None)
            self._trusting.pop(change.key, None)
        self.changed()

    def record(self, role: NodeRole, name: NodeId) -> Found[NodeCertificate] | None:
        """Return the record of a node's certificates."""
        return self._records.get(CERTIFICATES.key(role.value, name))

    def records(self) -> list[NodeCertificate]:
        """Return those of all nodes, by role and name."""
        return [self._records[key].value for key in sorted(self._records)]

    def views(self) -> list[NodeView]:
        """Return what the nodes whose certificate counts have said last of whom they trust, nothing said being revision 0."""
        return [self.view(one) for one in self.records()]

    def view(self, record: NodeCertificate) -> NodeView:
        """Return what a node has said last."""
        said = self._trusting.get(TRUSTING.key(record.role.value, record.name))
        if said is None:
            return NodeView(record.name, 0, record.authority, record.not_after_s)
        # It counts for as long as what was issued to it last, whatever it has of that.
        return NodeView(said.name, said.revision, said.authority, record.not_after_s)

    def why_refused(self, shown: CertifiedNode, *, now_s: int) -> Denied | None:
        """Say why somebody with this certificate is not let in, or nothing."""
        if self.authorities is None:
            if shown.role is NodeRole.SERVER:
                return None
            text = "this member does not know the cluster's nodes yet"
            return Denied("trust_unknown", text, "it has just begun: try again")
        found = self.record(shown.role, shown.name)
        return why_refused(found.value if found else None, shown, now_s=now_s)

    def _put(self, item: KeyValue) -> None:
        if item.key == BUNDLE_KEY:
            self.authorities = decode_value(item, Authorities)
        elif CERTIFICATES.parse(item.key) is not None:
            self._records[item.key] = decode_value(item, NodeCertificate)
        elif TRUSTING.parse(item.key) is not None:
            self._trusting[item.key] = decode_value(item, NodeView).value


def _nobody() -> None:
    """Nobody looks."""
