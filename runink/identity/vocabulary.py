"""What may be done, and to what: the words of roles, of the API and of the wire. One table for all of them.

    verb          on something of its kind
    get           read one
    list          read many, or their names
    watch         be told of changes, follow
    create        make one, publish a version
    update        change one: also cordon and drain of nodes
    delete        take one away
    run           submit runs of a pipeline, resume them
    cancel        end or pause a run
    approve       take in what a policy wants a second person for
    use           have a run use it: a secret by its steps
    reveal        read a secret's value: to read what is known of it is `get`
    bind          give others roles that one does not hold oneself
    escalate      write roles that allow more than one may oneself
    impersonate   ask what another may do
    cross         act in another herd that has let one in: of `herds`, by the other herd's name. It is for those that belong to a herd, as service accounts do

A resource of the cluster belongs to no herd: only a binding for all herds grants it. So it is with making and deleting herds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

EVERYTHING: Final = (
    "*"  # all of them: verbs, resources, names or herds, as where it is written says
)
CLUSTER: Final = ""  # in place of a herd: what belongs to none


class Verb(StrEnum):
    GET = "get"
    LIST = "list"
    WATCH = "watch"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RUN = "run"
    CANCEL = "cancel"
    APPROVE = "approve"
    USE = "use"
    REVEAL = "reveal"
    BIND = "bind"
    ESCALATE = "escalate"
    IMPERSONATE = "impersonate"
    CROSS = "cross"


class Resource(StrEnum):
    # Of a herd.
    HERDS = "herds"  # one herd's own settings; to create and delete herds is of the cluster
    PIPELINES = "pipelines"
    CONTRACTS = "contracts"
    SCHEDULES = "schedules"
    BUNDLES = "bundles"
    RUNS = "runs"
    SLICES = "slices"
    LOGS = "logs"
    DEAD_LETTERS = "dead-letters"
    SAMPLES = "samples"
    PLACEMENTS = "placements"  # where slices are, and why
    LINEAGE = "lineage"
    QUALITY = "quality"
    ANNOTATIONS = "annotations"
    SECRETS = "secrets"
    ROLES = "roles"
    BINDINGS = "bindings"
    SERVICE_ACCOUNTS = "service-accounts"
    TOKENS = "tokens"
    AUDIT = "audit"
    EVENTS = "events"
    METRICS = "metrics"
    # Of the cluster.
    NODES = "nodes"
    MEMBERS = "members"
    DECISIONS = "decisions"  # what the scheduler decided, made again
    BARN = "barn"  # its raw keys
    AUTHORITY = "authority"  # certificates of nodes, and who signs them
    ISSUERS = "issuers"  # of people's tokens


OF_THE_CLUSTER: Final = frozenset(
    {
        Resource.NODES,
        Resource.MEMBERS,
        Resource.DECISIONS,
        Resource.BARN,
        Resource.AUTHORITY,
        Resource.ISSUERS,
    }
)


def is_of_the_cluster(verb: str, resource: str) -> bool:
    """Say whether this is done to what belongs to no herd."""
    if resource == Resource.HERDS:
        return verb in {Verb.CREATE, Verb.DELETE}
    return resource in OF_THE_CLUSTER
