"""A herd's file: TOML in, a record and what is wrong with it out.

    [herd]       id, domain, description, labels; nodes: whether its slices go only to nodes of its own; store: where checkpoints lie;
                 on_lost, lost_wait: what becomes of slices whose node cannot reach the cluster
    [quotas]     cpu, memory, disk, gpu, slices, runs, priority, weight; keep_failed: for how long failed runs can be resumed; grace: the longest that steps have
    [quotas.slice] cpu_min, cpu_max, memory_min, memory_max, disk_max, gpu_max: what one slice asks for
    [[roles]]    name, verbs, resources, …                    who may do what: `identity/reading.py`
    [[bindings]] name, role, subjects, …                      who has a role
    [secrets]    allow                                       which secrets its steps may use; nothing enforces it yet
    [masking]    default, fields                             how personal data is masked whose contract does not say it
    [[clearances]] sink, pii                                 which sinks may hold which kinds of personal data unmasked
    [network]    internet, allow                             what steps with network="egress" reach
    [isolation]  allow_missing, require                      what slices may do without on nodes that have not got it, and what they may not
    [contracts]  compatibility, breaking_majors              which new version of a contract is taken by `runi contract publish`
                 golden, approval, drift                     whether pipelines have goldens, who takes versions in, whether drift gets through
    [retention]  runs, logs, dead_letters, lineage, audit    for how long what is left of runs is kept, and the audit
    [audit]      level                                       whether reading is written down, too

A key that is not in this table is a mistake, so that a misspelt quota is not silently no quota.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

from runink.checkpoints import store_at
from runink.errors import Invalid
from runink.herds import masking, policies, quotas
from runink.herds.reading import Mistakes, Section
from runink.herds.record import HerdRecord
from runink.identity.reading import read_bindings, read_roles
from runink.identity.roles import Binding, Role
from runink.labels import KEY
from runink.names import HerdName, herd_name
from runink.quantities import parse_duration

RESTART: Final = "restart"
CONTINUE: Final = "continue"
ANY: Final = "any"
OWN: Final = "own"
LOST_WAIT_MS: Final = 3_600_000
LOST_WAIT_MS_MAX: Final = 7 * 24 * 3_600_000  # what was seen of a lost node is forgotten then
FILE_BYTES_MAX: Final = 1 << 20  # a hand-written file
LABELS_MAX: Final = 64
LABEL_VALUE_MAX: Final = 256

SECTIONS: Final = ("herd", "quotas", "roles", "bindings", "secrets", "masking", "clearances", "network", "isolation", "contracts", "retention", "audit")  # fmt: skip
HERD_KEYS: Final = ("id", "domain", "description", "labels", "nodes", "on_lost", "lost_wait", "store")  # fmt: skip
_LABEL: Final = re.compile(KEY)


def read_herd(text: str, *, file: str) -> HerdRecord:
    """Return what the text says. Raises Invalid with a finding for every mistake in it."""
    if len(text) > FILE_BYTES_MAX:
        raise Invalid(f"{file} is longer than {FILE_BYTES_MAX >> 20} MiB", code="herd_invalid")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{file} is not TOML: {error}", code="herd_invalid") from error
    return _read(Mistakes(text, file), document, file)


def read_tables(tables: dict[str, Any], *, where: str) -> HerdRecord:
    """Return what a file of these tables would say; a time may be a text. Raises Invalid with a finding for every mistake, none of which has a line."""
    return _read(Mistakes("", where), tables, where)


def _read(mistakes: Mistakes, document: dict[str, Any], file: str) -> HerdRecord:
    found = _record(Section(mistakes, "", document))
    if mistakes.findings:
        count = len(mistakes.findings)
        raise Invalid(
            f"{file}: {count} mistake{'s' if count > 1 else ''}",
            findings=tuple(mistakes.findings),
            code="herd_invalid",
        )
    return found


def _record(document: Section) -> HerdRecord:
    document.know(SECTIONS)
    herd = document.table("herd", HERD_KEYS)
    name = _name(herd)
    roles, bindings = _access(document, name)
    return HerdRecord(
        herd=name,
        domain=herd.text("domain"),
        description=herd.text("description"),
        labels=_labels(herd.table("labels")),
        lost_wait_ms=_lost_wait_ms(herd),
        own_nodes=herd.choice("nodes", (ANY, OWN)) == OWN,
        store=_store(herd),
        **quotas.quotas_of(document.table("quotas", quotas.KEYS)),
        roles=roles,
        bindings=bindings,
        secrets=policies.secrets_of(document.table("secrets", policies.SECRET_KEYS)),
        clearances=masking.clearances_of(document.table("masking", masking.KEYS), document),
        network=policies.network_of(document.table("network", policies.NETWORK_KEYS)),
        isolation=policies.isolation_of(document.table("isolation", policies.ISOLATION_KEYS)),
        contracts=policies.contracts_of(document.table("contracts", policies.CONTRACT_KEYS)),
        retention=policies.retention_of(document.table("retention", policies.RETENTION_KEYS)),
        audit=policies.audit_of(document.table("audit", policies.AUDIT_KEYS)),
    )


def _name(herd: Section) -> HerdName:
    try:
        return herd_name(str(herd.found.get("id", "")))
    except Invalid as error:
        key = "id" if "id" in herd.found else "[herd]"
        herd.tell(f"[herd] id: {error.text}", key, error.hint)
        return HerdName("invalid")


def _access(document: Section, herd: HerdName) -> tuple[tuple[Role, ...], tuple[Binding, ...]]:
    """Return the herd's roles, and who has which."""
    roles, wrong_roles = read_roles(document.found.get("roles", []), herd=herd)
    names = [one.name for one in roles]
    tables = document.found.get("bindings", [])
    bindings, wrong_bindings = read_bindings(tables, herd=herd, roles=names)
    for table, mistakes in (("roles", wrong_roles), ("bindings", wrong_bindings)):
        for one in mistakes:
            document.mistakes.tell(one.text, one.word, one.hint, table=table, number=None)
    return roles, bindings


def _labels(section: Section) -> dict[str, str]:
    found: dict[str, str] = {}
    if len(section.found) > LABELS_MAX:
        section.tell(f"a herd has {LABELS_MAX} labels at most", "labels")
    for name, value in section.found.items():
        if not _LABEL.fullmatch(name):
            section.tell(f"{name!r} is no name of a label", name, "as in team or team.example/cost")
        elif not isinstance(value, str) or len(value) > LABEL_VALUE_MAX:
            text = f"label {name} is text of {LABEL_VALUE_MAX} characters at most"
            section.tell(text, name, f'write {name} = "…"')
        else:
            found[name] = value
    return found


def _lost_wait_ms(herd: Section) -> int:
    if herd.choice("on_lost", (RESTART, CONTINUE)) != CONTINUE:
        if "lost_wait" in herd.found:
            hint = f'write on_lost = "{CONTINUE}" with it'
            herd.tell("lost_wait waits for nothing", "lost_wait", hint)
        return 0
    wait_ms = herd.quantity("lost_wait", parse_duration) or LOST_WAIT_MS
    if wait_ms > LOST_WAIT_MS_MAX:
        herd.tell("lost_wait is seven days at most", "lost_wait")
    return wait_ms


def _store(herd: Section) -> str:
    said: Any = herd.found.get("store")
    if not isinstance(said, str):
        return herd.text("store")  # there is none, or it is no text, which is told
    try:
        return store_at(said)
    except Invalid as error:
        herd.tell(error.text, "store", error.hint)
        return ""
