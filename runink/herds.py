"""A herd's file: TOML in, a record and what is wrong with it out.

    [herd]       id, domain, description; nodes: whether its slices go only to nodes of its own; store: where checkpoints lie;
                 on_lost, lost_wait: what becomes of slices whose node cannot reach the cluster
    [quotas]     cpu, memory, slices, runs, priority, weight; keep_failed: for how long failed runs can be resumed; grace: the longest that steps have     enforced
    [[roles]]    name, verbs, resources                      checked; nothing enforces them yet
    [masking]    default, fields                             how personal data is masked whose contract does not say it
    [[clearances]] sink, pii                                 which sinks may hold which kinds of personal data unmasked
    [network]    internet, allow                             what steps with network="egress" reach
    [isolation]  allow_missing, require                      what slices may do without on nodes that have not got it, and what they may not
    [contracts]  compatibility, breaking_majors              which new version of a contract is taken by `runi contract publish`

A key that is not in this table is a mistake, so that a misspelt quota is not silently no quota.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from runink.capabilities import CLOSING_OFF, IsolationPolicy
from runink.checkpoints import KEEP_FAILED_MS, store_at
from runink.clearances import ClearancePolicy, SinkClearance
from runink.contracts.compatibility import ContractPolicy, Mode
from runink.contracts.masks import KINDS_OF
from runink.errors import Finding, Invalid, Span
from runink.names import HerdName, herd_name
from runink.networks import NetworkPolicy, allowed, policy_of
from runink.quantities import parse_bytes, parse_cpu, parse_duration
from runink.suggestions import near, near_or_all
from runink.wants import GRACE_MS_MAX, PRIORITY_MAX

VERBS: Final = ("get", "list", "watch", "create", "update", "delete", "run", "cancel")
WEIGHT_MAX: Final = 1_000  # more than that beside 1 is no share
RESTART: Final = "restart"
CONTINUE: Final = "continue"
ANY: Final = "any"
OWN: Final = "own"
LOST_WAIT_MS: Final = 3_600_000
LOST_WAIT_MS_MAX: Final = 7 * 24 * 3_600_000  # what was seen of a lost node is forgotten then
FILE_BYTES_MAX: Final = 1 << 20  # a hand-written file


class HerdFile(msgspec.Struct, frozen=True):
    """What a herd's file says. Quotas are 0 where it sets no limit; `unenforced` names the parts that nothing acts on yet.

    `lost_wait_ms` is how long slices are waited for that go on without the cluster, 0 where they end. `own_nodes` says that they go only to nodes that take them by name.
    `store` is the URI of the folder that checkpoints are kept in, empty for that of their run.
    """

    herd: HerdName
    domain: str = ""
    description: str = ""
    cpu_m: int = 0
    memory_bytes: int = 0
    slices: int = 0
    runs: int = 0
    keep_failed_ms: int = KEEP_FAILED_MS
    network: NetworkPolicy = NetworkPolicy()
    isolation: IsolationPolicy = IsolationPolicy()
    clearances: ClearancePolicy = ClearancePolicy()
    unenforced: tuple[str, ...] = ()
    contracts: ContractPolicy = ContractPolicy()
    priority_max: int | None = None
    weight: int = 1
    lost_wait_ms: int = 0
    own_nodes: bool = False
    store: str = ""
    grace_max_ms: int = GRACE_MS_MAX


_KEYS: Final = {
    "": ("herd", "quotas", "roles", "masking", "clearances", "network", "isolation", "contracts"),
    "quotas": ("cpu", "memory", "slices", "runs", "priority", "weight", "keep_failed", "grace"),
    "herd": ("id", "domain", "description", "nodes", "on_lost", "lost_wait", "store"),
    "roles": ("name", "verbs", "resources"),
    "masking": ("default", "fields"),
    "clearances": ("sink", "pii"),
    "network": ("internet", "allow"),
    "isolation": ("allow_missing", "require"),
    "contracts": ("compatibility", "breaking_majors"),
}


def read_herd(text: str, *, file: str) -> HerdFile:
    """Return what the text says. Raises Invalid with a finding for every mistake in it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{file} is not TOML: {error}", code="herd_invalid") from error
    reader = _Reader(text, file)
    found = reader.read(document)
    if reader.findings:
        count = len(reader.findings)
        raise Invalid(
            f"{file}: {count} mistake{'s' if count > 1 else ''}",
            findings=tuple(reader.findings),
            code="herd_invalid",
        )
    return found


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._lines = text.splitlines()
        self._file = file
        self.findings: list[Finding] = []

    def read(self, document: dict[str, Any]) -> HerdFile:
        self._known("", document)
        herd = self._table(document, "herd")
        quotas = self._table(document, "quotas")
        for role in self._tables(document, "roles"):
            self._role(role)
        return HerdFile(
            herd=self._name(herd),
            domain=self._text(herd, "domain"),
            description=self._text(herd, "description"),
            cpu_m=self._quantity(quotas, "cpu", parse_cpu),
            memory_bytes=self._quantity(quotas, "memory", parse_bytes),
            slices=self._count(quotas, "slices"),
            runs=self._count(quotas, "runs"),
            keep_failed_ms=self._keep_failed(quotas),
            network=self._network(self._table(document, "network")),
            isolation=self._isolation(self._table(document, "isolation")),
            clearances=self._clearances(document),
            contracts=self._contracts(self._table(document, "contracts")),
            priority_max=self._priority(quotas),
            weight=self._weight(quotas),
            lost_wait_ms=self._lost_wait_ms(herd),
            own_nodes=self._choice(herd, "nodes", (ANY, OWN)) == OWN,
            store=self._store(herd),
            grace_max_ms=self._grace(quotas),
            unenforced=tuple(part for part in ("roles",) if part in document),
        )

    def _mistake(self, text: str, key: str, hint: str = "") -> None:
        for number, line in enumerate(self._lines, 1):
            if key and key in line:
                span = Span(self._file, number, line.index(key) + 1, len(key))
                self.findings.append(Finding("H001", text, span, hint, line))
                return
        self.findings.append(Finding("H001", text, None, hint))

    def _known(self, table: str, found: dict[str, Any]) -> None:
        for key in found:
            if key not in _KEYS[table]:
                where = f"[{table}]" if table else "a herd's file"
                hint = near(key, _KEYS[table]) or f"it has {', '.join(_KEYS[table])}"
                self._mistake(f"{where} has no {key}", key, hint)

    def _table(self, document: dict[str, Any], name: str) -> dict[str, Any]:
        found = document.get(name, {})
        if not isinstance(found, dict):
            self._mistake(f"{name} is a table", name, f"write [{name}]")
            return {}
        self._known(name, found)
        return found

    def _tables(self, document: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
        tables = document.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
            self._mistake(f"{name} is a list of tables", name, f"write [[{name}]]")
            return
        for table in tables:
            self._known(name, table)
            yield table

    def _name(self, herd: dict[str, Any]) -> HerdName:
        try:
            return herd_name(str(herd.get("id", "")))
        except Invalid as error:
            self._mistake(
                f"[herd] id: {error.text}", "id" if "id" in herd else "[herd]", error.hint
            )
            return HerdName("invalid")

    def _text(self, table: dict[str, Any], key: str) -> str:
        found = table.get(key, "")
        if isinstance(found, str):
            return found
        self._mistake(f"{key} is text", key, f'write {key} = "…"')
        return ""

    def _quantity(self, table: dict[str, Any], key: str, parse: Callable[[str], int]) -> int:
        if key not in table:
            return 0
        try:
            return parse(str(table[key]))
        except Invalid as error:
            self._mistake(f"{key}: {error.text}", key, error.hint)
            return 0

    def _choice(self, table: dict[str, Any], key: str, words: tuple[str, ...]) -> str:
        """Return which of the words it says: the first where it says nothing."""
        said = table.get(key, words[0])
        if said in words:
            return str(said)
        self._mistake(f"there is no {key} {said}", key, near_or_all(str(said), words))
        return words[0]

    def _lost_wait_ms(self, herd: dict[str, Any]) -> int:
        if self._choice(herd, "on_lost", (RESTART, CONTINUE)) != CONTINUE:
            if "lost_wait" in herd:
                hint = f'write on_lost = "{CONTINUE}" with it'
                self._mistake("lost_wait waits for nothing", "lost_wait", hint)
            return 0
        wait_ms = self._quantity(herd, "lost_wait", parse_duration) or LOST_WAIT_MS
        if wait_ms > LOST_WAIT_MS_MAX:
            self._mistake("lost_wait is seven days at most", "lost_wait")
        return wait_ms

    def _store(self, herd: dict[str, Any]) -> str:
        said = self._text(herd, "store")
        if not isinstance(herd.get("store"), str):
            return ""  # there is none, or it is no text, which is told
        try:
            return store_at(said)
        except Invalid as error:
            self._mistake(error.text, "store", error.hint)
            return ""

    def _keep_failed(self, table: dict[str, Any]) -> int:
        if table.get("keep_failed", "") in (0, "0"):
            return 0
        return self._quantity(table, "keep_failed", parse_duration) or KEEP_FAILED_MS

    def _grace(self, table: dict[str, Any]) -> int:
        if table.get("grace", "") in (0, "0"):
            return 0
        grace_ms = self._quantity(table, "grace", parse_duration) or GRACE_MS_MAX
        if grace_ms > GRACE_MS_MAX:
            self._mistake("grace is ten minutes at most", "grace", "others wait for it")
        return grace_ms

    def _count(self, table: dict[str, Any], key: str) -> int:
        found = table.get(key, 0)
        if isinstance(found, int) and not isinstance(found, bool) and found >= 0:
            return found
        self._mistake(f"{key} is a number, 0 or more", key)
        return 0

    def _priority(self, quotas: dict[str, Any]) -> int | None:
        found = quotas.get("priority")
        if found is None:
            return None
        if isinstance(found, int) and not isinstance(found, bool) and abs(found) <= PRIORITY_MAX:
            return found
        text = f"priority is a whole number from -{PRIORITY_MAX} to {PRIORITY_MAX}"
        self._mistake(text, "priority", "the most that a run of the herd has")
        return None

    def _weight(self, quotas: dict[str, Any]) -> int:
        found = quotas.get("weight", 1)
        if isinstance(found, int) and not isinstance(found, bool) and 1 <= found <= WEIGHT_MAX:
            return found
        text = f"weight is a whole number from 1 to {WEIGHT_MAX:,}"
        self._mistake(text, "weight", "a herd of weight 2 has twice the share of one of weight 1")
        return 1

    def _network(self, table: dict[str, Any]) -> NetworkPolicy:
        internet = table.get("internet", True)
        if not isinstance(internet, bool):
            self._mistake("internet is true or false", "internet")
            internet = True
        entries = table.get("allow", [])
        if not isinstance(entries, list) or not all(isinstance(one, str) for one in entries):
            self._mistake("allow is a list of texts", "allow", 'as in allow = ["10.1.2.0/24:5432"]')
            return NetworkPolicy(internet)
        usable = []
        for entry in entries:
            try:
                allowed(entry)
                usable.append(entry)
            except Invalid as error:
                self._mistake(error.text, entry or "allow", error.hint)
        try:
            return policy_of(internet=internet, allow=usable)
        except Invalid as error:
            self._mistake(error.text, "allow", error.hint)
            return NetworkPolicy(internet)

    def _isolation(self, table: dict[str, Any]) -> IsolationPolicy:
        policy = IsolationPolicy(*(self._features(table, key) for key in _KEYS["isolation"]))
        for name in set(policy.allow_missing) & set(policy.require):
            self._mistake(f"{name} may be missing, and is required", name, "leave one of them away")
        return policy

    def _contracts(self, table: dict[str, Any]) -> ContractPolicy:
        said, names = table.get("compatibility", Mode.NONE.value), [mode.value for mode in Mode]
        if said not in names:
            hint = near_or_all(str(said), names)
            self._mistake(f"there is no compatibility {said}", "compatibility", hint)
            said = Mode.NONE.value
        breaking_majors = table.get("breaking_majors", False)
        if not isinstance(breaking_majors, bool):
            self._mistake("breaking_majors is true or false", "breaking_majors")
            breaking_majors = False
        return ContractPolicy(Mode(said), breaking_majors)

    def _features(self, table: dict[str, Any], key: str) -> tuple[str, ...]:
        found = table.get(key, [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self._mistake(f"{key} is a list of names", key, f'as in {key} = ["landlock"]')
            return ()
        for name in found:
            if name not in CLOSING_OFF:
                hint = near_or_all(name, CLOSING_OFF)
                self._mistake(f"nothing closes slices off by the name of {name}", name or key, hint)
        return tuple(dict.fromkeys(found))

    def _role(self, role: dict[str, Any]) -> None:
        if not isinstance(role.get("name"), str):
            self._mistake("a role has a name", "[[roles]]")
        for key in ("verbs", "resources"):
            found = role.get(key, [])
            if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
                self._mistake(f"{key} is a list of names", key)
                continue
            for verb in found if key == "verbs" else ():
                if verb not in (*VERBS, "*"):
                    self._mistake(f"there is no verb {verb}", verb, f"there are {', '.join(VERBS)}")

    def _clearances(self, document: dict[str, Any]) -> ClearancePolicy:
        masking = self._table(document, "masking")
        fields = masking.get("fields", {})
        if not isinstance(fields, dict):
            self._mistake(
                "masking.fields is a table", "fields", 'as in fields = { email = "hash" }'
            )
            fields = {}
        return ClearancePolicy(
            self._mask(masking.get("default", ""), "default"),
            {name: self._mask(mask, name) for name, mask in fields.items()},
            tuple(self._clearance(one) for one in self._tables(document, "clearances")),
        )

    def _mask(self, found: Any, key: str) -> str:
        """Return a mask's text; whether it is one for a field's kind, the compiler knows."""
        if found == "keep":
            hint = 'which sinks may hold it is said so: [[clearances]] sink = "…", pii = ["…"]'
            self._mistake("to keep personal data as it is, is no mask", "keep", hint)
        elif not isinstance(found, str):
            self._mistake(f"{key} is a mask's name", key, 'as in default = "hash"')
        elif found and found.partition("(")[0].strip() not in KINDS_OF:
            self._mistake(f"there is no mask {found}", found, f"there are {', '.join(KINDS_OF)}")
        else:
            return found
        return ""

    def _clearance(self, table: dict[str, Any]) -> SinkClearance:
        sink, pii = table.get("sink"), table.get("pii")
        if not isinstance(sink, str) or not sink:
            hint = 'as in sink = "parquet://out/secure/*"'
            self._mistake("a clearance names its sinks by their URI", "[[clearances]]", hint)
            sink = ""
        if isinstance(pii, str):
            pii = [pii]
        if not isinstance(pii, list) or not pii or not all(isinstance(one, str) for one in pii):
            hint = 'as in pii = ["email"]; "*" are all'
            self._mistake("a clearance names kinds of personal data", "[[clearances]]", hint)
            pii = []
        return SinkClearance(sink, tuple(dict.fromkeys(pii)))
