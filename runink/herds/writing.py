"""A herd's record as the file that would say the same: what `file.py` reads as that record again.

Only what differs from saying nothing is written, in the order of the table in `file.py`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec.structs import replace as changed

from runink.checkpoints import KEEP_FAILED_MS
from runink.contracts.compatibility import Mode
from runink.herds.file import CONTINUE, OWN
from runink.herds.policies import BLOCK, REQUIRED, RETENTION_KEYS
from runink.herds.record import HerdRecord
from runink.identity.roles import NEVER, Binding, Rule
from runink.networks import Allowed
from runink.quantities import format_cpu, format_duration, format_memory
from runink.wants import GRACE_MS_MAX

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DELETE: Final = "\x7f"  # TOML wants it escaped, JSON does not


def as_said(record: HerdRecord) -> HerdRecord:
    """Return what people say of the herd: without what became of it, and who has made its bindings."""
    bindings = tuple(changed(one, made_by="", made_ms=0) for one in record.bindings)
    return changed(record, bindings=bindings, declared=None, deletion=None)


def herd_toml(record: HerdRecord) -> str:
    """Return the file of a herd."""
    parts = []
    for head, values in _tables(record):
        lines = [f"{key} = {_value(value)}\n" for key, value in values.items() if value is not None]
        if lines:
            parts.append("".join((f"{head}\n", *lines)))
    return "\n".join(parts)


def said_of(record: HerdRecord) -> dict[str, Any]:
    """Return the tables of that file as programs read them, with times as text."""
    return dict(msgspec.to_builtins(tomllib.loads(herd_toml(record))))


def _tables(record: HerdRecord) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "[herd]", _herd(record)
    yield "[herd.labels]", {_text(name): value for name, value in record.labels.items()}
    yield "[quotas]", _quotas(record)
    yield "[quotas.slice]", _bounds(record)
    for role in record.roles:
        first, *further = role.rules
        said = {"name": role.name, "description": role.description or None}
        yield "[[roles]]", {**said, **_rule(first)}
        for rule in further:
            yield "[[roles.rules]]", _rule(rule)
    for binding in record.bindings:
        yield "[[bindings]]", _binding(binding)
    yield "[secrets]", {"allow": record.secrets}
    masks = {_text(name): value for name, value in record.clearances.fields.items() if value}
    yield "[masking]", {"default": record.clearances.default or None}
    yield "[masking.fields]", masks
    for one in record.clearances.sinks:
        yield "[[clearances]]", {"sink": one.sink, "pii": one.pii}
    network, isolation = record.network, record.isolation
    yield (
        "[network]",
        {
            "internet": None if network.internet else False,
            "allow": tuple(map(_allowed, network.allow)) or None,
        },
    )
    yield (
        "[isolation]",
        {
            "allow_missing": isolation.allow_missing or None,
            "require": isolation.require or None,
        },
    )
    yield "[contracts]", _contracts(record)
    kept = {key: getattr(record.retention, f"{key}_ms") for key in RETENTION_KEYS}
    yield "[retention]", {key: format_duration(ms) for key, ms in kept.items() if ms}
    yield "[audit]", {"level": record.audit.value if record.audit is not None else None}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "verbs": rule.verbs or None,
        "resources": rule.resources or None,
        "names": rule.names or None,
        "effect": rule.effect.value if rule.denies else None,
        "fields": rule.fields or None,
    }


def _binding(binding: Binding) -> dict[str, Any]:
    at = _EPOCH + timedelta(milliseconds=binding.expires_ms)
    return {
        "name": binding.name,
        "description": binding.description or None,
        "role": binding.role_text,
        "subjects": binding.subjects,
        "expires": at.isoformat() if binding.expires_ms != NEVER else None,
    }


def _herd(record: HerdRecord) -> dict[str, Any]:
    waits = record.lost_wait_ms
    return {
        "id": record.herd,
        "domain": record.domain or None,
        "description": record.description or None,
        "nodes": OWN if record.own_nodes else None,
        "on_lost": CONTINUE if waits else None,
        "lost_wait": format_duration(waits) if waits else None,
        "store": record.store or None,
    }


def _quotas(record: HerdRecord) -> dict[str, Any]:
    keeps, grace_ms = record.keep_failed_ms, record.grace_max_ms
    return {
        "cpu": _amount(record.cpu_m, format_cpu),
        "memory": _amount(record.memory_bytes, format_memory),
        "disk": _amount(record.disk_bytes, format_memory),
        "gpu": record.gpus or None,
        "slices": record.slices or None,
        "runs": record.runs or None,
        "priority": record.priority_max,
        "weight": record.weight if record.weight != 1 else None,
        "keep_failed": _unless(keeps, KEEP_FAILED_MS),
        "grace": _unless(grace_ms, GRACE_MS_MAX),
    }


def _bounds(record: HerdRecord) -> dict[str, Any]:
    bounds = record.bounds
    return {
        "cpu_min": _amount(bounds.cpu_min_m, format_cpu),
        "cpu_max": _amount(bounds.cpu_max_m, format_cpu),
        "memory_min": _amount(bounds.memory_min_bytes, format_memory),
        "memory_max": _amount(bounds.memory_max_bytes, format_memory),
        "disk_max": _amount(bounds.disk_max_bytes, format_memory),
        "gpu_max": bounds.gpu_max or None,
    }


def _contracts(record: HerdRecord) -> dict[str, Any]:
    policy = record.contracts
    return {
        "compatibility": policy.mode.value if policy.mode is not Mode.NONE else None,
        "breaking_majors": policy.breaking_majors or None,
        "golden": REQUIRED if policy.goldens else None,
        "approval": policy.approvals or None,
        "drift": BLOCK if policy.blocks_drift else None,
    }


def _amount(amount: int, render: Callable[[int], str]) -> str | None:
    return render(amount) if amount else None


def _unless(duration_ms: int, default_ms: int) -> str | int | None:
    if duration_ms == default_ms:
        return None
    return format_duration(duration_ms) if duration_ms else 0


def _allowed(one: Allowed) -> str:
    if not one.port_first:
        return one.network
    last = "" if one.port_last == one.port_first else f"-{one.port_last}"
    return f"{one.network}:{one.port_first}{last}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return _text(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace(_DELETE, "\\u007f")
