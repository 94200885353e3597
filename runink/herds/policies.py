"""What else a herd's file says of all that runs under it: network, isolation, contracts, secrets, retention, audit."""

from __future__ import annotations

from typing import Final

from runink.capabilities import CLOSING_OFF, IsolationPolicy
from runink.contracts.compatibility import ContractPolicy, Mode
from runink.errors import Invalid
from runink.herds.reading import Section
from runink.herds.record import AuditLevel, Retention
from runink.networks import NetworkPolicy, allowed, policy_of
from runink.quantities import parse_duration
from runink.suggestions import near_or_all

NETWORK_KEYS: Final = ("internet", "allow")
ISOLATION_KEYS: Final = ("allow_missing", "require")
CONTRACT_KEYS: Final = ("compatibility", "breaking_majors", "golden", "approval", "drift")
SECRET_KEYS: Final = ("allow",)
RETENTION_KEYS: Final = ("runs", "logs", "dead_letters", "lineage", "audit")
AUDIT_KEYS: Final = ("level",)

OPTIONAL: Final = "optional"
REQUIRED: Final = "required"
PASS: Final = "pass"  # noqa: S105 - what drift may do
BLOCK: Final = "block"
APPROVALS_MAX: Final = 10
RETENTION_MS_MAX: Final = (
    100 * 365 * 86_400_000
)  # who writes more means for ever, and leaves it out
SECRETS_MAX: Final = 256


def network_of(section: Section) -> NetworkPolicy:
    internet = section.flag("internet", default=True)
    entries = section.texts("allow", 'allow = ["10.1.2.0/24:5432"]', "texts")
    usable = []
    for entry in entries or ():
        try:
            allowed(entry)
            usable.append(entry)
        except Invalid as error:
            section.tell(error.text, entry or "allow", error.hint)
    try:
        return policy_of(internet=internet, allow=usable)
    except Invalid as error:
        section.tell(error.text, "allow", error.hint)
        return NetworkPolicy(internet)


def isolation_of(section: Section) -> IsolationPolicy:
    policy = IsolationPolicy(*(_features(section, key) for key in ISOLATION_KEYS))
    for name in set(policy.allow_missing) & set(policy.require):
        section.tell(f"{name} may be missing, and is required", name, "leave one of them away")
    return policy


def _features(section: Section, key: str) -> tuple[str, ...]:
    found = section.texts(key, f'{key} = ["landlock"]') or ()
    for name in found:
        if name not in CLOSING_OFF:
            hint = near_or_all(name, CLOSING_OFF)
            section.tell(f"nothing closes slices off by the name of {name}", name or key, hint)
    return found


def contracts_of(section: Section) -> ContractPolicy:
    return ContractPolicy(
        Mode(section.choice("compatibility", tuple(mode.value for mode in Mode))),
        section.flag("breaking_majors", default=False),
        section.choice("golden", (OPTIONAL, REQUIRED)) == REQUIRED,
        section.number("approval", most=APPROVALS_MAX, hint="how many people beside the author take a version in"),
        section.choice("drift", (PASS, BLOCK)) == BLOCK,
    )  # fmt: skip


def secrets_of(section: Section) -> tuple[str, ...] | None:
    """Return the patterns of the secrets that the herd's steps may use, nothing where the file says nothing."""
    if "allow" not in section.found:
        return None
    found = section.texts("allow", 'allow = ["warehouse-*"]') or ()
    if len(found) > SECRETS_MAX:
        section.tell(f"allow lists {SECRETS_MAX} names at most", "allow")
    for name in found:
        if not name or "/" in name:
            section.tell(f"{name!r} is no name of a secret", name or "allow", 'as in allow = ["warehouse-*"]')  # fmt: skip
    return found


def retention_of(section: Section) -> Retention:
    return Retention(*(_kept_ms(section, key) for key in RETENTION_KEYS))


def _kept_ms(section: Section, key: str) -> int:
    if key not in section.found:
        return 0
    before = len(section.mistakes.findings)
    kept_ms = section.quantity(key, parse_duration)
    if kept_ms > RETENTION_MS_MAX:
        section.tell(f"{key} is a hundred years at most", key, "leave it out to keep it for ever")
    elif not kept_ms and len(section.mistakes.findings) == before:
        section.tell(f"{key} is kept for some time", key, 'as in "30d"')
    return kept_ms


def audit_of(section: Section) -> AuditLevel | None:
    if "level" not in section.found:
        return None
    return AuditLevel(section.choice("level", tuple(one.value for one in AuditLevel)))
