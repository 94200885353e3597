"""Versions of contracts and pipelines that a cluster knows: what is kept of each, and which new one is taken.

    /contracts/H/NAME/VERSION     ContractVersion
    /pipelines/H/NAME/VERSION     PipelineVersion      (VERSION is like 1.2.0; a pipeline that a run brought along stands beside it under its hash)

A version is published once and never changes.  Publishing it again is nothing if its content is the same, and refused if it is another: whoever reads `1.2.0`
today and tomorrow must read one thing.  Any number of versions is live at the same time; none is ever taken over by a later one.

    code                        refused because
    version_taken               the version is there, with another content
    version_not_enough          the changes ask for more than the version has gone up by
    contract_incompatible       the herd's policy asks for compatibility, and the changes break it

Who decides has read all versions of a name at one revision; the transaction compares that none of them has changed since, and that none is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from runink.contracts.changes import Bump, Change, Diff
from runink.contracts.compatibility import (
    ContractPolicy,
    Mode,
    Verdict,
    before,
    bump_of,
    verdicts,
)
from runink.contracts.diff import diff
from runink.contracts.fields import ContractSpec
from runink.contracts.versions import bumped, is_enough, version_of
from runink.dag import Check, Dag
from runink.errors import Conflict, Forbidden, Invalid
from runink.names import HerdName

CHANGES_TOLD_MAX: Final = 20  # of a refusal; `runi contract diff` tells them all
HASH_SHOWN: Final = 12


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a version came from: the file in its project, the git commit of the working copy (empty: there is none) and whether that held changes of its own, who, when."""

    file: str
    by: str
    published_ms: int
    commit: str = ""
    is_dirty: bool = False


class ContractVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version of a contract as it stands in the Barn. `mode` is what the herd asked for when it was published."""

    herd: HerdName
    spec: ContractSpec
    hash: str
    origin: Origin
    mode: Mode = Mode.NONE

    @property
    def reference(self) -> str:
        return f"{self.herd}/{self.spec.name}@{self.spec.version}"


class PipelineVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version of a pipeline as it stands in the Barn. `code` are the SHA-256 of the project's files that its steps name, `contracts` the versions that its edges speak.

    `bundle` is the project that it was compiled from and `project` the folder on the nodes that its relative paths start from, where it came so that it can be run: empty otherwise.
    """

    version: str
    dag: Dag
    hash: str
    origin: Origin
    code: dict[str, str] = {}
    contracts: tuple[str, ...] = ()
    bundle: str = ""
    project: str = ""

    @property
    def reference(self) -> str:
        return f"{self.dag.herd}/{self.dag.pipeline}@{self.version}"


class Publication(msgspec.Struct, frozen=True):
    """What publishing comes to: nothing new, or a version after `previous` (empty: the first) with these changes."""

    is_new: bool
    previous: str = ""
    changes: Diff | None = None
    verdicts: tuple[Verdict, ...] = ()

    @property
    def is_worded_anew(self) -> bool:
        """Say whether a version that is there already would read otherwise, though it means the same."""
        return not self.is_new and self.changes is not None and bool(self.changes.changes)


def contract_publication(
    new: ContractVersion, known: Sequence[ContractVersion], policy: ContractPolicy
) -> Publication:
    """Decide about a version, given all that are there. Raises Conflict (`version_taken`), Invalid (`version_not_enough`), Forbidden (`contract_incompatible`)."""
    spec = new.spec
    same = next((one for one in known if one.spec.version == spec.version), None)
    if same is not None:
        _check_same(new.reference, same.hash, new.hash)
        return Publication(is_new=False, changes=diff(same.spec, spec))
    specs = [one.spec for one in known]
    earlier = before(spec.version, specs)
    if not earlier:
        return Publication(is_new=True)
    changes = diff(earlier[0], spec)
    judged = verdicts(spec, specs, policy.mode, same_major=policy.breaking_majors)
    # What the policy forbids no version number mends, so that is told first.
    _check_compatible(new.reference, judged)
    if policy.mode is not Mode.NONE:
        _check_version(new.reference, changes, bump_of(changes, policy.mode))
    return Publication(is_new=True, previous=earlier[0].version, changes=changes, verdicts=judged)


def pipeline_publication(new: PipelineVersion, known: Iterable[PipelineVersion]) -> Publication:
    """Decide about a pipeline's version. Raises Conflict (`version_taken`)."""
    known = list(known)
    same = next((one for one in known if one.version == new.version), None)
    if same is not None:
        _check_same(new.reference, same.hash, new.hash)
        return Publication(is_new=False)
    at = version_of(new.version)
    earlier = [one.version for one in known if version_of(one.version) < at]
    return Publication(is_new=True, previous=max(earlier, key=version_of, default=""))


def _check_same(reference: str, theirs: str, ours: str) -> None:
    if theirs != ours:
        raise Conflict(
            f"{reference} is published already, with another content: its hash is {theirs}, yours {ours}",
            code="version_taken",
            hint="a version never changes: give yours the next one (runi contract bump, or push --version)",
        )


def _check_compatible(reference: str, judged: tuple[Verdict, ...]) -> None:
    broken = [one for one in judged if not one.is_compatible]
    if not broken:
        return
    lines = [
        f"  {verdict.against}: {change.text}" for verdict in broken for change in verdict.breaking
    ]
    raise Forbidden(
        "\n".join(
            [
                f"{reference} is not {broken[0].mode.value} compatible, and its herd asks for that:",
                *shortened(lines),
            ]
        ),
        code="contract_incompatible",
        hint="make it compatible (a default, a wider bound), give it another name, or change [contracts] in the herd's file",
    )


def _check_version(reference: str, changes: Diff, bump: Bump) -> None:
    old, new = changes.old_version, changes.new_version
    if is_enough(old, new, bump):
        return
    asking = [change for change in changes.changes if change.bump is bump] or list(changes.changes)
    raise Invalid(
        "\n".join(
            [
                f"{reference} goes up by too little: from {old} on, these changes ask for {bumped(old, bump)} ({bump.word})",
                *shortened(f"  {change.text}" for change in asking),
            ]
        ),
        code="version_not_enough",
        hint="runi contract bump writes it",
    )


def shortened(lines: Iterable[str]) -> list[str]:
    """Return the first lines of a list, and how many more there are."""
    lines = list(lines)
    more = len(lines) - CHANGES_TOLD_MAX
    return [*lines[:CHANGES_TOLD_MAX], f"  … and {more} more"] if more > 0 else lines


def pipeline_hash(dag: Dag, code: dict[str, str]) -> str:
    """Return what a version of a pipeline is known by: its graph, with the contracts in it, and the code that it calls."""
    content = msgspec.json.encode({"dag": dag.hash, "code": code}, order="sorted")
    return hashlib.sha256(content).hexdigest()


def contracts_of(dag: Dag) -> tuple[str, ...]:
    """Return the contracts that a pipeline's edges speak, each as name, version and the beginning of its hash."""
    specs = {(node.contract.name, node.contract.version): node.contract for node in dag.nodes if isinstance(node, Check)}  # fmt: skip
    return tuple(
        f"{name} {version} {spec.hash[:HASH_SHOWN]}"
        for (name, version), spec in sorted(specs.items())
    )


def exposing(publication: Publication) -> tuple[Change, ...]:
    """Return the changes that let people see more than the version before did."""
    return publication.changes.exposing if publication.changes is not None else ()
