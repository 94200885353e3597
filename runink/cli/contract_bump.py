"""`runi contract bump`: the version that the changes ask for, written where the version stands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from runink.cli.contract_reference import contract_argument, contract_of
from runink.cli.contract_versions import all_versions, contract_by, published
from runink.cli.contract_versions import published_name as name_of
from runink.cli.exits import told
from runink.cli.options import output_option, state_option
from runink.cli.wording import echo_json
from runink.contracts.changes import Bump, Diff
from runink.contracts.compatibility import Mode, before, bump_of
from runink.contracts.diff import diff
from runink.contracts.fields import ContractSpec
from runink.contracts.references import is_json_schema
from runink.contracts.rewriting import (
    with_class_version,
    with_document_version,
    with_schema_version,
)
from runink.contracts.versions import bumped, is_enough, version_of
from runink.errors import Invalid, NotFound, RuninkError

PARTS: Final = {bump.word: bump for bump in (Bump.MAJOR, Bump.MINOR, Bump.PATCH)}
_MODES: Final = ("backward", "forward", "full")


@dataclass(frozen=True, slots=True)
class Advice:
    """What a contract's version was, is, and should be. `since` says what it was compared with."""

    since: str
    changes: Diff
    bump: Bump
    version: str

    @property
    def is_enough(self) -> bool:
        return is_enough(self.changes.old_version, self.changes.new_version, self.bump)


@click.command()
@contract_argument
@click.option("--since", metavar="OLD", help="A published version (HERD/NAME@1.2.0) or FILE:CLASS to compare with.")  # fmt: skip
@click.option("--git", "revision", metavar="REV", help="Compare with the file as it was at this git revision.")  # fmt: skip
@click.option("--part", type=click.Choice(list(PARTS)), help="Raise this part, at least.")
@click.option("--mode", type=click.Choice(_MODES), default="backward", show_default=True, help="What a major change breaks.")  # fmt: skip
@click.option("--check", is_flag=True, help="Write nothing; exit code 8 if the version has not gone up enough.")  # fmt: skip
@output_option
@state_option
def bump(reference: str, output: str, state: Path | None, **options: Any) -> None:
    """Write the version that the changes ask for into the contract's file.

    The contract is compared with its highest published version, or else with the last commit.
    """
    if options["since"] and options["revision"]:
        raise click.UsageError("--since and --git are two things to compare with: name one")
    spec = contract_of(reference)
    label, old = _baseline(
        reference, spec, since=options["since"], revision=options["revision"], state=state
    )
    changes = diff(old, spec)
    part = PARTS[options["part"]] if options["part"] else Bump.NONE
    asked = max(bump_of(changes, Mode(options["mode"])), part)
    advice = Advice(label, changes, asked, _version(old.version, spec.version, asked))
    if options["check"]:
        _check(advice, output)
        return
    is_written = advice.version != spec.version
    if is_written:
        _write(reference, spec, advice.version)
    if output == "json":
        echo_json({**_document(advice), "written": is_written})
        return
    click.echo(_line(advice) + ("" if is_written else ": nothing to write"))


def _version(old: str, new: str, asked: Bump) -> str:
    """Return the version that is asked for, or the one that is there if it has gone up enough."""
    wanted = bumped(old, asked)
    return new if version_of(new)[:3] >= version_of(wanted)[:3] else wanted


def _baseline(
    reference: str,
    spec: ContractSpec,
    *,
    since: str | None,
    revision: str | None,
    state: Path | None,
) -> tuple[str, ContractSpec]:
    """Return what a contract is compared with, and how that is called."""
    if since is not None:
        name = name_of(since)
        old = published(name, state).spec if name is not None else contract_by(since, state=state)
        return since, old
    if revision is None:
        known = [one for one in all_versions(state) if one.spec.name == spec.name]
        if known:
            there = [one.spec for one in known]
            same = [one for one in there if one.version == spec.version]
            old = (same or before(spec.version, there) or there)[0]
            return next(one.reference for one in known if one.spec is old), old
    at = revision or "HEAD"
    try:
        return at, contract_by(reference, state=state, revision=at)
    except NotFound as error:
        if error.code != "git_nothing" or revision is not None:
            raise
        raise NotFound(
            f"there is nothing to compare {spec.name} with: it is not published, and its project is in no git repository",
            code="nothing_before",
            hint="name something: --since FILE:CLASS",
        ) from error


def _write(reference: str, spec: ContractSpec, version: str) -> None:
    """Put the version where the old one stands: aside first, so that a full disk takes nothing."""
    path = Path(reference.rpartition(":")[0] or reference)
    try:
        source = path.read_bytes().decode()
    except OSError as error:
        raise told(error, where=path) from error
    try:
        text = _rewritten(
            path, source, reference.rpartition(":")[2] if ":" in reference else spec.name, version
        )
    except RuninkError as error:
        error.text = f"{path}: {error.text}"
        raise
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(text.encode())
        aside.chmod(path.stat().st_mode & 0o7777)
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise told(error, where=path) from error


def _rewritten(path: Path, source: str, name: str, version: str) -> str:
    if path.suffix == ".py":
        return with_class_version(source, name, version)
    if is_json_schema(path.name):
        return with_schema_version(source, name, version)
    return with_document_version(source, version)


def _check(advice: Advice, output: str) -> None:
    changes = advice.changes
    if not advice.is_enough:
        raise Invalid(
            f"{changes.name} is {changes.new_version}, and its changes since {advice.since} ({changes.old_version}) ask for {advice.version} at least",
            code="version_not_enough",
            hint="runi contract bump writes it",
        )
    if output == "json":
        echo_json({**_document(advice), "written": False})
    else:
        click.echo(_line(advice))


def _line(advice: Advice) -> str:
    changes = advice.changes
    what = f"a {advice.bump.word} bump" if advice.bump is not Bump.NONE else "no bump"
    return f"{changes.name} {changes.old_version} ({advice.since}) → {advice.version}: {what}"


def _document(advice: Advice) -> dict[str, object]:
    changes = advice.changes
    return {
        "name": changes.name,
        "since": advice.since,
        "old_version": changes.old_version,
        "version": advice.version,
        "bump": advice.bump.word,
        "changes": [change.text for change in changes.changes],
    }
