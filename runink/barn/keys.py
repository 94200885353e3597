"""The control plane's keys, in one table.

    key                              value
    /herds/H                         a herd's settings and quotas
    /pipelines/H/NAME/VERSION        a compiled pipeline: of runs under its hash, as published under a version (1.2.0)
    /contracts/H/NAME/VERSION        a published contract
    /approvals/H/NAME/VERSION        what people have said of a published contract: who approves it, who rejects it
    /deployments/H/NAME              a pipeline that is in force, with all that its runs are made of
    /schedules/H/NAME                when that is due, and how far it has come
    /backfills/H/NAME/ID             ticks of the past that it is to run for
    /runs/H/RUN                      a run and its state
    /slices/H/RUN/SLICE              a slice and its state
    /members/NUMBER                  where a member of the Barn listens
    /offices/OFFICE                  which member acts for the cluster, attached to its lease
    /nodes/N                         a worker node, attached to its lease
    /standings/N                     what people say of a node: that it gets nothing new, or is to be emptied; it outlives the node's lease
    /health/N                        what is seen of a node: that it is suspect or lost, and how much trouble there was; it outlives the node's lease
    /placements/N/RUN/SLICE          what node N is to run
    /reservations/RUN/GANG           nodes that are kept for slices that wait, and what is stopped for them
    /decisions/REVISION              on what the scheduler decided, and what came of it; REVISION sorts as a number
    /turns/OFFICE                    since when what the holder of an office has sent counts: what he sent before, and nobody has answered, does not
    /durations/H/NAME                how long a pipeline's parts have taken
    /publishing/TARGETHASH           the run that is publishing to a target, so that no other does
    /lineage/H/RUN                   what a run read, did and wrote
    /bundles/HASH/PART               a bundle: the project's files of a run, in parts
    /bundle-owners/H/HASH            that a herd has brought a bundle itself: it may use no other
    /uploads/H/UPLOAD                a bundle's archive that comes in, and which parts of it are there; attached to a lease
    /upload-parts/H/UPLOAD/NUMBER    a part of one, attached to the same lease
    /annotations/H/ENTRY             what somebody has noted on a thing, ENTRY sorts by time
    /audit/H/ENTRY                   an audit entry, ENTRY sorts by time
    /roles/H/NAME                    a role of a herd, or of the cluster (H is `-`)
    /bindings/H/NAME                 who has a role there
    /rights/taken                    when a role or a binding was taken away last: what was deleted leaves nothing else to compare with
    /accounts/H/NAME                 a service account of a herd
    /tokens/H/ID                     a token that the cluster has signed for an account of a herd, while it is good
    /revocations/ID                  tokens that nobody takes any more, while they would be good
    /bootstrap/administrator         the word that makes the first administrator: a hash of it, and for whom it was used
    /issuers/NAME                    a provider of people's tokens
    /signing/KID                     a key that the cluster signs tokens with, sealed
    /authority/bundle                the authorities that nodes trust, and which of them issues
    /authority-keys/FINGERPRINT      the key of one, sealed
    /certificates/ROLE/NAME          the certificate of a node, and whether it is good
    /trusting/ROLE/NAME              whom a node has said that it trusts
    /joins/ID                        a join token: a hash of it, and what may be done with it
    /idempotency/PLACE               a call that was made with an Idempotency-Key, and its answer; it goes after a day

A part is never empty and holds no slash, so a key parses in one way only, and the prefix of a herd never matches another's whose name begins alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from runink.barn.keyvalue import Span, key_prefix
from runink.errors import Invalid
from runink.names import HerdName, NodeId, PipelineName, RunId, SliceId


@dataclass(frozen=True, slots=True)
class Keys:
    """A row of the table: the first part of the key, and how many follow."""

    root: str
    parts: int
    start: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", f"/{self.root}/")

    def key(self, *parts: str) -> str:
        """Return the key with these parts. Raises Invalid for a part that is empty or holds a slash."""
        assert len(parts) == self.parts
        return self.start + "/".join(_checked(parts))

    def prefix(self, *parts: str) -> str:
        """Return what all keys with these first parts begin with. Raises Invalid as `key` does."""
        assert len(parts) < self.parts
        if not parts:
            return self.start
        return "".join((self.start, *(f"{part}/" for part in _checked(parts))))

    def parse(self, key: str) -> tuple[str, ...] | None:
        """Return the parts of a key of this kind, or nothing if it is of another."""
        start = self.start
        if not key.startswith(start):  # most that are asked about are of another
            return None
        parts = tuple(key[len(start) :].split("/"))
        return parts if len(parts) == self.parts and "" not in parts else None


def _checked(parts: tuple[str, ...]) -> tuple[str, ...]:
    for part in parts:
        if not part or "/" in part:
            raise Invalid(f"{part!r} cannot be part of a key", code="invalid_key")
    return parts


HERDS: Final = Keys("herds", 1)
PIPELINES: Final = Keys("pipelines", 3)
CONTRACTS: Final = Keys("contracts", 3)
APPROVALS: Final = Keys("approvals", 3)
DEPLOYMENTS: Final = Keys("deployments", 2)
SCHEDULES: Final = Keys("schedules", 2)
BACKFILLS: Final = Keys("backfills", 3)
RUNS: Final = Keys("runs", 2)
SLICES: Final = Keys("slices", 3)
MEMBERS: Final = Keys("members", 1)
OFFICES: Final = Keys("offices", 1)
NODES: Final = Keys("nodes", 1)
STANDINGS: Final = Keys("standings", 1)
HEALTH: Final = Keys("health", 1)
PLACEMENTS: Final = Keys("placements", 3)
RESERVATIONS: Final = Keys("reservations", 2)
DECISIONS: Final = Keys("decisions", 1)
DURATIONS: Final = Keys("durations", 2)
TURNS: Final = Keys("turns", 1)
PUBLISHING: Final = Keys("publishing", 1)
LINEAGE: Final = Keys("lineage", 2)
BUNDLES: Final = Keys("bundles", 2)
BUNDLE_OWNERS: Final = Keys("bundle-owners", 2)
UPLOADS: Final = Keys("uploads", 2)
UPLOAD_PARTS: Final = Keys("upload-parts", 3)
ANNOTATIONS: Final = Keys("annotations", 2)
AUDIT: Final = Keys("audit", 2)
ROLES: Final = Keys("roles", 2)
BINDINGS: Final = Keys("bindings", 2)
RIGHTS: Final = Keys("rights", 1)
ACCOUNTS: Final = Keys("accounts", 2)
TOKENS: Final = Keys("tokens", 2)
REVOCATIONS: Final = Keys("revocations", 1)
BOOTSTRAP: Final = Keys("bootstrap", 1)
ISSUERS: Final = Keys("issuers", 1)
SIGNING: Final = Keys("signing", 1)
AUTHORITY: Final = Keys("authority", 1)
AUTHORITY_KEYS: Final = Keys("authority-keys", 1)
CERTIFICATES: Final = Keys("certificates", 2)
JOINS: Final = Keys("joins", 1)
TRUSTING: Final = Keys("trusting", 2)
KEPT_CALLS: Final = Keys("idempotency", 1)

# All that a herd has beside its own record: each begins with its name. Whoever purges a herd takes these away, in this order: what makes new ones goes first.
OF_HERD: Final = (
    SCHEDULES,
    BACKFILLS,
    DEPLOYMENTS,
    UPLOADS,
    UPLOAD_PARTS,
    BUNDLE_OWNERS,
    ANNOTATIONS,
    RUNS,
    SLICES,
    LINEAGE,
    DURATIONS,
    PIPELINES,
    CONTRACTS,
    APPROVALS,
    BINDINGS,
    ROLES,
    ACCOUNTS,
    TOKENS,
    AUDIT,
)

OF_CLUSTER: Final = "-"  # in place of a herd, whose names begin with a letter

# Keys of the design that nothing writes yet are the control plane's too.
OWN_ROOTS: Final = (
    "accounts",
    "annotations",
    "approvals",
    "audit",
    "authority",
    "authority-keys",
    "backfills",
    "bindings",
    "bootstrap",
    "bundle-owners",
    "bundles",
    "certificates",
    "contracts",
    "decisions",
    "deployments",
    "durations",
    "health",
    "herds",
    "idempotency",
    "issuers",
    "joins",
    "lineage",
    "members",
    "nodes",
    "offices",
    "pipelines",
    "placements",
    "publishing",
    "reservations",
    "revocations",
    "rights",
    "roles",
    "runs",
    "schedules",
    "secrets",
    "signing",
    "slices",
    "standings",
    "tokens",
    "trusting",
    "turns",
    "upload-parts",
    "uploads",
)


def own_prefix_in(span: Span) -> str:
    """Return the first prefix of the control plane that a span reaches into, or nothing if it holds none of its keys."""
    for root in OWN_ROOTS:
        own = key_prefix(f"/{root}/")
        if span.start < own.end and (not span.end or own.start < span.end):
            return own.start
    return ""


def herd_key(herd: HerdName) -> str:
    return HERDS.key(herd)


def member_key(member: int) -> str:
    return MEMBERS.key(str(member))


def pipeline_key(herd: HerdName, name: PipelineName, version: str) -> str:
    return PIPELINES.key(herd, name, version)


def contract_key(herd: HerdName, name: str, version: str) -> str:
    return CONTRACTS.key(herd, name, version)


def approval_key(herd: HerdName, name: str, version: str) -> str:
    return APPROVALS.key(herd, name, version)


def deployment_key(herd: HerdName, name: PipelineName) -> str:
    return DEPLOYMENTS.key(herd, name)


def schedule_key(herd: HerdName, name: PipelineName) -> str:
    return SCHEDULES.key(herd, name)


def backfill_key(herd: HerdName, name: PipelineName, backfill: str) -> str:
    return BACKFILLS.key(herd, name, backfill)


def run_key(herd: HerdName, run: RunId) -> str:
    return RUNS.key(herd, run)


def slice_key(herd: HerdName, run: RunId, slice_id: SliceId) -> str:
    return SLICES.key(herd, run, slice_id)


def node_key(node: NodeId) -> str:
    return NODES.key(node)


def standing_key(node: NodeId) -> str:
    return STANDINGS.key(node)


def health_key(node: NodeId) -> str:
    return HEALTH.key(node)


def placement_key(node: NodeId, run: RunId, slice_id: SliceId) -> str:
    return PLACEMENTS.key(node, run, slice_id)


def reservation_key(run: RunId, gang: str) -> str:
    return RESERVATIONS.key(run, gang)


def decision_key(revision: int) -> str:
    return DECISIONS.key(f"{revision:016d}")


def durations_key(herd: HerdName, name: PipelineName) -> str:
    return DURATIONS.key(herd, name)


def publishing_key(target_hash: str) -> str:
    return PUBLISHING.key(target_hash)


def lineage_key(herd: HerdName, run: RunId) -> str:
    return LINEAGE.key(herd, run)


def audit_key(herd: HerdName, entry: str) -> str:
    return AUDIT.key(herd, entry)


def parse_run(key: str) -> tuple[HerdName, RunId] | None:
    """Return (herd, run) of a run's key, or nothing for another kind of key."""
    parts = RUNS.parse(key)
    return (HerdName(parts[0]), RunId(parts[1])) if parts else None


def parse_slice(key: str) -> tuple[HerdName, RunId, SliceId] | None:
    """Return (herd, run, slice) of a slice's key, or nothing for another kind of key."""
    parts = SLICES.parse(key)
    return (HerdName(parts[0]), RunId(parts[1]), SliceId(parts[2])) if parts else None


def parse_node(key: str) -> NodeId | None:
    """Return the node of a node's key, or nothing for another kind of key."""
    parts = NODES.parse(key)
    return NodeId(parts[0]) if parts else None


def parse_placement(key: str) -> tuple[NodeId, RunId, SliceId] | None:
    """Return (node, run, slice) of a placement's key, or nothing for another kind of key."""
    parts = PLACEMENTS.parse(key)
    return (NodeId(parts[0]), RunId(parts[1]), SliceId(parts[2])) if parts else None
