"""Roles, what is in them, and who has them: rules, the built-in roles, bindings. Values only; `access.py` decides by them.

A rule allows or denies verbs on resources, and may speak of some names only. Its `fields` are marks of contracts' fields that it shows unmasked:
`pii:KIND` for personal data of that kind (`pii=`), `access:ROLE` for what is for that role (`access=`), `pii:*`, `access:*`, and `*` for all. They hold in the
whole herd, so that a field is masked alike wherever it is read; a rule that has them has no names.

A role belongs to a herd, to the cluster, or is built in. The built-in ones cannot be changed, and no other has their names:

    role            holds
    viewer          get, list and watch of all that a herd has but tokens and the audit; of the cluster: nodes, members, decisions, issuers
    operator        what a viewer holds; run of pipelines and runs; cancel and update of runs; update of schedules; use of secrets
    author          what an operator holds; create, update and delete of pipelines, contracts, schedules, bundles; create and update of annotations
    steward         what a viewer holds; create, update, delete and approve of contracts; all of quality, annotations and lineage; approve of pipelines
                    and runs; get, list and watch of the audit; sees personal data unmasked (`pii:*`)
    admin           all that a herd has, secrets' values, roles, bindings and tokens with it; cross; all fields. Not bind and escalate, which it has no use
                    for, and not to make or delete herds
    cluster-admin   everything, in all herds and of the cluster

None shows a secret's value (`reveal`) but the admins'. What is of the cluster is granted by a binding for all herds only: a viewer of one herd sees no nodes.

A binding gives a role to subjects, in one herd or in all of them, for ever or until a time. A subject is `user:ISSUER:SUBJECT`, `group:ISSUER:GROUP` or
`service-account:HERD/NAME`. Nodes and slices have what `access.py` says of them, and cannot be bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from runink.identity.vocabulary import CLUSTER, EVERYTHING, OF_THE_CLUSTER, Resource, Verb
from runink.names import BindingName, RoleName

RULES_MAX: Final = 64  # of a role: what has more is several roles
NAMES_MAX: Final = (
    64  # patterns of names in a role: each is compared with each when a role is given on
)
SUBJECTS_MAX: Final = 256  # of a binding: more people than that are a group
FIELDS_MAX: Final = 64  # of a rule
ROLES_MAX: Final = 256  # of a herd
BINDINGS_MAX: Final = 1_024  # of a herd
DESCRIPTION_MAX: Final = 1_000  # characters
SUBJECT_MAX: Final = 512  # characters: an issuer, and 255 that OpenID Connect allows a subject
FIELD_MAX: Final = 128  # characters
NEVER: Final = 0  # when a binding ends that does not

CLUSTER_ROLE: Final = "cluster/"  # before a role of the cluster, where a binding names it
PII: Final = "pii:"
ACCESS: Final = "access:"


class Effect(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """Verbs on resources: words of the vocabulary, or `*`. `names` are patterns, none of them for all names. `fields` are marks, as above."""

    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    effect: Effect = Effect.ALLOW
    fields: tuple[str, ...] = ()

    @property
    def denies(self) -> bool:
        return self.effect is Effect.DENY


class Role(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rules under a name. `herd` is whose it is: CLUSTER for those of the cluster and the built-in ones."""

    name: RoleName
    herd: str
    rules: tuple[Rule, ...]
    description: str = ""


class RoleOf(StrEnum):
    """Whose a role is that a binding names."""

    BUILT_IN = "built-in"
    HERD = "herd"  # of the binding's own herd
    CLUSTER = "cluster"


class Binding(msgspec.Struct, frozen=True, omit_defaults=True):
    """A role for subjects. `herd` is where it holds: a herd, or EVERYTHING for all of them and the cluster.

    `expires_ms` is when it ends (milliseconds of the Unix epoch; it does not hold at that time any more), NEVER if it does not. `made_by` is the subject who
    made it, and `made_ms` when. Two bindings of one herd have two names.
    """

    name: BindingName
    herd: str
    role: RoleName
    role_of: RoleOf
    subjects: tuple[str, ...]
    expires_ms: int = NEVER
    made_by: str = ""
    made_ms: int = 0
    description: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.herd, self.name

    @property
    def role_key(self) -> tuple[str, str]:
        """Return what its role goes by: whose it is, and its name."""
        return self.herd if self.role_of is RoleOf.HERD else CLUSTER, self.role

    @property
    def role_text(self) -> str:
        """Return the role as people write it: one of the cluster is `cluster/NAME`."""
        return f"{CLUSTER_ROLE}{self.role}" if self.role_of is RoleOf.CLUSTER else self.role


CLUSTER_ADMIN: Final = RoleName("cluster-admin")

_READ: Final = (Verb.GET, Verb.LIST, Verb.WATCH)
_WRITE: Final = (Verb.CREATE, Verb.UPDATE, Verb.DELETE)
_OF_A_HERD: Final = tuple(one for one in Resource if one not in OF_THE_CLUSTER)

_VIEWER: Final = (
    Rule(_READ, tuple(one for one in _OF_A_HERD if one not in {Resource.TOKENS, Resource.AUDIT})),
    Rule(_READ, (Resource.NODES, Resource.MEMBERS, Resource.DECISIONS, Resource.ISSUERS)),
)
_OPERATOR: Final = (
    *_VIEWER,
    Rule((Verb.RUN,), (Resource.PIPELINES, Resource.RUNS)),
    Rule((Verb.CANCEL, Verb.UPDATE), (Resource.RUNS,)),
    Rule((Verb.UPDATE,), (Resource.SCHEDULES,)),
    Rule((Verb.USE,), (Resource.SECRETS,)),
)
_AUTHOR: Final = (
    *_OPERATOR,
    Rule(_WRITE, (Resource.PIPELINES, Resource.CONTRACTS, Resource.SCHEDULES, Resource.BUNDLES)),
    Rule((Verb.CREATE, Verb.UPDATE), (Resource.ANNOTATIONS,)),
)
_STEWARD: Final = (
    *_VIEWER,
    Rule((*_WRITE, Verb.APPROVE), (Resource.CONTRACTS,)),
    Rule((Verb.APPROVE,), (Resource.PIPELINES, Resource.RUNS)),
    Rule((*_WRITE, Verb.APPROVE), (Resource.QUALITY, Resource.ANNOTATIONS, Resource.LINEAGE)),
    Rule(_READ, (Resource.AUDIT,)),
    Rule(fields=(f"{PII}{EVERYTHING}",)),
)
_ADMIN: Final = (
    Rule(
        tuple(one for one in Verb if one not in {Verb.BIND, Verb.ESCALATE, Verb.CROSS}),
        tuple(one for one in _OF_A_HERD if one is not Resource.HERDS),
    ),
    Rule((*_READ, Verb.UPDATE, Verb.APPROVE, Verb.CROSS), (Resource.HERDS,)),
    Rule(fields=(EVERYTHING,)),
)
_CLUSTER_ADMIN: Final = (Rule((EVERYTHING,), (EVERYTHING,)), Rule(fields=(EVERYTHING,)))


def _built_in(name: str, rules: tuple[Rule, ...], description: str) -> tuple[str, Role]:
    return name, Role(RoleName(name), CLUSTER, rules, description)


BUILT_IN: Final[dict[str, Role]] = dict(
    (
        _built_in("viewer", _VIEWER, "sees what a herd has, but secrets' values and tokens"),
        _built_in("operator", _OPERATOR, "a viewer who runs pipelines, and ends and resumes runs"),
        _built_in("author", _AUTHOR, "an operator who publishes pipelines and contracts"),
        _built_in(
            "steward", _STEWARD, "a viewer who answers for contracts, quality and personal data"
        ),
        _built_in("admin", _ADMIN, "holds all that a herd has"),
        _built_in(CLUSTER_ADMIN, _CLUSTER_ADMIN, "holds everything"),
    )
)


def field_marks(pii: str, access: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the marks of a contract's field: that of its personal data (empty without), and those of the roles that it is for."""
    return f"{PII}{pii}" if pii else "", tuple(f"{ACCESS}{one}" for one in access)


class Clearances(msgspec.Struct, frozen=True):
    """The marks that somebody may see unmasked: those of `shown`, without those of `hidden`. Both may hold `pii:*`, `access:*` and `*`."""

    shown: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()

    def shows(self, mark: str) -> bool:
        """Say whether what bears this mark is seen as it is."""
        wide = {mark, f"{mark.partition(':')[0]}:{EVERYTHING}", EVERYTHING}
        return not self.shown.isdisjoint(wide) and self.hidden.isdisjoint(wide)

    def shows_field(self, *, pii: str = "", access: tuple[str, ...] = ()) -> bool:
        """Say whether a contract's field is seen as it is: its personal data must be cleared, and one of the roles that it is for."""
        personal, roles = field_marks(pii, access)
        if personal and not self.shows(personal):
            return False
        return not roles or any(self.shows(one) for one in roles)


def clearances_of(role: Role) -> Clearances:
    """Return what a role alone shows of fields, whoever has it."""
    marks: dict[bool, set[str]] = {False: set(), True: set()}
    for rule in role.rules:
        marks[rule.denies].update(rule.fields)
    return Clearances(frozenset(marks[False]), frozenset(marks[True]))


def shown_by_roles(roles: Iterable[Role]) -> dict[str, Clearances]:
    """Return what each of these roles of a herd shows of fields, by name, and each built-in one."""
    return {str(role.name): clearances_of(role) for role in (*roles, *BUILT_IN.values())}
