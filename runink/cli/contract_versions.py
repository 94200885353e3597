"""Contracts by any of their names: in a file, in a file at a git revision, or published in the Barn.

contracts/flights.py:Flight      in a file; CLASS may be left away where the file has one contract only
analytics/Flight@1.2.0           published in herd analytics
analytics/Flight                 its highest published version
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runink.cli.contract_reference import contract_of
from runink.cli.git import tree_at
from runink.cli.options import project_here
from runink.cli.runs import known_to
from runink.clients.cluster import Cluster
from runink.clients.publishing import contract_versions
from runink.contracts.fields import ContractSpec
from runink.errors import Invalid, NotFound
from runink.governance.registry import ContractVersion
from runink.names import HerdName, herd_name
from runink.projects import Files, contract_at, find_root

_PUBLISHED: Final = re.compile(r"([a-z][a-z0-9_-]{0,62})/([^/@:.\s]+)(?:@(\S+))?")
VERSIONS_SHOWN_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Published:
    """The name of a published contract; `version` is empty where the highest is meant."""

    herd: HerdName
    name: str
    version: str


def published_name(reference: str) -> Published | None:
    """Return what a reference to the Barn names; nothing if it is none, as that of a file."""
    match = _PUBLISHED.fullmatch(reference)
    if match is None or Path(reference).exists():
        return None
    return Published(herd_name(match[1]), match[2], match[3] or "")


def contract_by(reference: str, *, state: Path | None, revision: str = "") -> ContractSpec:
    """Return the contract that is meant; one in a file as it was at a git revision, if one is given. Raises NotFound, Invalid."""
    name = published_name(reference)
    if name is not None and not revision:
        return published(name, state).spec
    file = reference.rpartition(":")[0] or reference
    if not Path(file).suffix and not Path(file).exists():
        raise Invalid(
            f"{reference!r} names no contract",
            code="contract_reference",
            hint="write FILE:CLASS, or HERD/NAME@1.2.0 for a published version, HERD/NAME for the highest",
        )
    if revision:
        return _contract_at(reference, revision)
    return contract_of(reference)


def _contract_at(reference: str, revision: str) -> ContractSpec:
    file, colon, name = reference.rpartition(":")
    path = Path(file if colon else reference)
    root = find_root(path)
    with tree_at(root, revision) as tree:
        inside = tree / path.absolute().relative_to(root)
        (tree / "runink.toml").touch()  # the project begins here, whatever lies above
        try:
            return contract_at(inside, name if colon else "")
        except NotFound as error:
            text = f"at {revision}: {error.text.replace(f'{tree}/', '')}"
            raise NotFound(
                text, code=error.code, hint="name the file as it was called then"
            ) from error


def published(name: Published, state: Path | None) -> ContractVersion:
    """Return a published version. Raises NotFound with those that are there."""
    versions = all_versions(state, name.herd, name.name)
    wanted = name.version or (versions[-1].spec.version if versions else "")
    found = next((one for one in versions if one.spec.version == wanted), None)
    if found is not None:
        return found
    there = ", ".join(one.spec.version for one in versions[-VERSIONS_SHOWN_MAX:])
    at = f" {name.version}" if name.version else ""
    raise NotFound(
        f"herd {name.herd} has published no {name.name}{at}",
        code="no_such_version",
        hint=f"there are {there}" if there else "runi contract catalog lists what there is",
    )


def all_versions(state: Path | None, herd: str = "", name: str = "") -> list[ContractVersion]:
    """Return the published versions, of one herd or of one contract if that is named; in the order of names and versions. Where nothing was ever run there is none."""

    async def ask(cluster: Cluster, _: Path) -> list[ContractVersion]:
        return await versions_in(cluster, herd, name)

    return known_to(state, ask)


async def versions_in(cluster: Cluster, herd: str = "", name: str = "") -> list[ContractVersion]:
    found = await contract_versions(cluster.barn, *(part for part in (herd, name) if part))
    return [one.value for one in found]


def herd_here(herd: str | None) -> HerdName:
    """Return the herd that is named, or else the project's only one. Raises Invalid where it has several, or none."""
    if herd is not None:
        return herd_name(herd)
    herds = Files(project_here()).herds()
    if len(herds) == 1:
        return herds[0]
    has = f"has {', '.join(herds)}" if herds else "has none"
    raise Invalid(
        f"whose is it? this project {has} in herds/",
        code="which_herd",
        hint="name it: --herd NAME",
    )
