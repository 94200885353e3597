"""Rows of the matrix for herds, roles and bindings."""

from __future__ import annotations

from typing import Any

from access_row import OWN, Row
from runink.clients.herds import delete_herd
from runink.herds.lifecycle import By
from runink.herds.record import HerdRecord
from runink.herds.writing import said_of
from runink.identity.vocabulary import Resource
from runink.names import HerdName
from runink.operations.catalog import bindings, issuers, roles
from runink.testing.served import NOW_MS, Served

_RULES = [{"verbs": ["get"], "resources": ["runs"]}]
_SUBJECTS = ["user:corp:zed"]


async def _role(world: Served, herd: str) -> None:
    if herd:
        await world.ask(roles.CREATE, herd=herd, role="reader", rules=_RULES)
    else:
        await world.ask(roles.CLUSTER_CREATE, role="reader", rules=_RULES)


async def _binding(world: Served, herd: str) -> None:
    said = {"binding": "zeds", "role": "viewer", "subjects": _SUBJECTS}
    if herd:
        await world.ask(bindings.CREATE, herd=herd, **said)
    else:
        await world.ask(bindings.CLUSTER_CREATE, **said)


async def _binding_of_sales(world: Served, _: str) -> None:
    await _binding(world, "sales")


async def _deleted(world: Served, herd: str) -> None:
    await delete_herd(world.barn, HerdName(herd), By("operator:root", NOW_MS), kept_ms=0)


def _quotas(world: Served, herd: str) -> dict[str, Any]:
    """Say that the herd has a quota, and otherwise what it has already: who may what stays as it is."""
    given = world.access.given
    roles = tuple(one for key, one in given.roles.items() if key[0] == herd)
    bindings = tuple(one for key, one in given.bindings.items() if key[0] == herd)
    return said_of(HerdRecord(HerdName(herd), runs=3, roles=roles, bindings=bindings))


_ROLE, _ROLE_SAID = {"role": "reader"}, {"rules": _RULES}
_BINDING, _BINDING_SAID = {"binding": "zeds"}, {"role": "viewer", "subjects": _SUBJECTS}

HERD_ROWS = {
    "herds.list": Row(shows=OWN, of=Resource.HERDS),
    "herds.get": Row(),
    "herds.create": Row({"says": {"herd": {"id": "fresh"}}}, makes="fresh"),
    "herds.update": Row({"says": _quotas}),
    "herds.delete": Row(),
    "herds.undelete": Row(prepare=_deleted),
    "herds.purge": Row(prepare=_deleted),
    "herds.quota": Row(),
}


async def _issuer(world: Served, _: str) -> None:
    await world.ask(issuers.CREATE, says=_CORP)


_CORP = {"id": "corp", "issuer": "https://login.example.com", "client_id": "runink"}
_MAY = {"verb": "get", "resource": "runs"}
_NODES = {"verb": "get", "resource": "nodes"}
_OWN_RIGHTS = "by what somebody may himself he may know"
QUESTION_ROWS = {
    "auth.whoami": Row(shows=OWN, of=Resource.HERDS),
    "auth.sign-out": Row(told="no_token", nameless="it is about the caller's own token"),
    "auth.can-i": Row(_MAY | {"in_herd": "sales"}, nameless=_OWN_RIGHTS),
    "auth.explain": Row(_MAY | {"in_herd": "sales"}, nameless=_OWN_RIGHTS),
    "auth.who-can": Row(_MAY, prepare=_binding, shows="zeds"),
    "auth.who-can-in-cluster": Row(_NODES, prepare=_binding, shows="zeds"),
    "auth.providers": Row(prepare=_issuer, nameless="it is for everybody"),
    "issuers.list": Row(prepare=_issuer, shows="corp"),
    "issuers.get": Row({"issuer": "corp"}, prepare=_issuer),
    "issuers.create": Row({"says": _CORP}, makes="corp"),
    "issuers.update": Row({"issuer": "corp", "says": _CORP}, prepare=_issuer),
    "issuers.delete": Row({"issuer": "corp"}, prepare=_issuer),
}
AUDIT_ROWS = {
    "audit.list": Row(prepare=_role, shows="reader", of=Resource.ROLES),
    "cluster-audit.list": Row(prepare=_role, shows="reader", of=Resource.ROLES),
    "audit.watch": Row({"since": 1}, prepare=_role, shows="reader", of=Resource.ROLES),
    "cluster-audit.watch": Row({"since": 1}, prepare=_role, shows="reader", of=Resource.ROLES),
}
RIGHTS_ROWS = {
    f"{scope}{name}": row
    for scope in ("", "cluster-")
    for name, row in {
        "roles.list": Row(prepare=_role, shows="reader"),
        "roles.get": Row(_ROLE, prepare=_role),
        "roles.create": Row(_ROLE | _ROLE_SAID, makes="reader"),
        "roles.update": Row(_ROLE | _ROLE_SAID, prepare=_role),
        "roles.delete": Row(_ROLE, prepare=_role),
        "bindings.list": Row(prepare=_binding, shows="zeds"),
        "bindings.get": Row(_BINDING, prepare=_binding),
        "bindings.create": Row(_BINDING | _BINDING_SAID, makes="zeds"),
        "bindings.update": Row(_BINDING | _BINDING_SAID, prepare=_binding),
        "bindings.delete": Row(_BINDING, prepare=_binding),
    }.items()
} | {
    "cluster-bindings.take-back": Row(_BINDING | {"in_herd": "sales"}, prepare=_binding_of_sales),
}
