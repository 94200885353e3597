"""`runi contract diff`: what has changed from one version to another, what that breaks, and what it asks of the version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from runink.cli.contract_against import Held, Reading, held_against
from runink.cli.contract_versions import contract_by
from runink.cli.data_files import delimiter_option, nulls_option
from runink.cli.exits import ExitCode
from runink.cli.options import output_option, state_option
from runink.cli.wording import echo_json, harmless
from runink.contracts.changes import Bump, Change, Diff, Effect
from runink.contracts.compatibility import Mode, breaking, breaks, bump_of
from runink.contracts.diff import diff as compared
from runink.contracts.fields import ContractSpec
from runink.contracts.versions import bumped
from runink.contracts.witness import witness
from runink.quantities import counted

# Those that ask about one pair. A transitive one asks the same of more pairs, which `publish` does.
MODES: Final = ("backward", "forward", "full", "none")
_MARKS: Final = {Effect.SAME: "·", Effect.WIDER: "+", Effect.NARROWER: "-", Effect.OTHER: "!"}
_MEANS: Final = {
    Effect.SAME: "takes the same rows",
    Effect.WIDER: "takes all rows that it took, and more",
    Effect.NARROWER: "takes fewer rows",
    Effect.OTHER: "takes other rows",
}


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", required=False)
@click.option("--git", "revision", metavar="REV", help="OLD as it was at this git revision; without NEW the same file as it is now.")  # fmt: skip
@click.option("--mode", type=click.Choice(MODES), default="backward", show_default=True, help="Who must get along with whom.")  # fmt: skip
@click.option("--check", is_flag=True, help="Exit code 8 if a change breaks the mode.")
@click.option("--against", metavar="DATA", help="Say how many rows of this file the new version rejects (csv, jsonl, json, parquet, arrow).")  # fmt: skip
@nulls_option
@delimiter_option
@output_option
@state_option
def diff(old: str, new: str | None, output: str, state: Path | None, **options: Any) -> None:
    """Compare two versions of a contract.

    OLD and NEW are FILE:CLASS, or published versions: HERD/NAME@1.2.0, HERD/NAME for the highest.
    """
    revision, against = options["revision"], options["against"]
    if new is None and revision is None:
        raise click.UsageError("name NEW too, or what OLD is to be taken from: --git REV")
    before = contract_by(old, state=state, revision=revision or "")
    after = contract_by(new or old, state=state)
    changes, judged_by = compared(before, after), Mode(options["mode"])
    reading = Reading(options["nulls"], options["delimiter"])
    held = held_against(against, before, after, reading) if against else None
    if output == "json":
        echo_json(_document(changes, judged_by, held))
    else:
        for line in (*_lines(changes, judged_by, (before, after)), *_held_lines(held)):
            click.echo(harmless(line))
    if options["check"] and breaking(changes, judged_by):
        raise SystemExit(ExitCode.INVALID)


def _lines(changes: Diff, mode: Mode, specs: tuple[ContractSpec, ContractSpec]) -> Iterator[str]:
    yield f"{changes.name} {changes.old_version} → {changes.new_version}"
    if not changes.changes:
        yield f"  nothing has changed: {changes.new_hash[:12]}"
        return
    for change in changes.changes:
        is_breaking = breaks(change, mode)
        yield f"  {_MARKS[change.effect]} {change.text}{f'  [breaks {mode.value}]' if is_breaking else ''}"
        if is_breaking:
            yield from _witness_lines(change, mode, specs)
        if change.exposes:
            yield "      people see more than they did"
    for rename in changes.renames:
        yield f"  ? was {rename.old} renamed to {rename.new}? they are alike"
    yield from _verdict_lines(changes, mode)


def _witness_lines(
    change: Change, mode: Mode, specs: tuple[ContractSpec, ContractSpec]
) -> Iterator[str]:
    is_backward = mode.looks_backward and not change.effect.keeps_backward
    writer, reader = specs if is_backward else specs[::-1]
    found = witness(change, writer, reader)
    if found is None:
        return
    called = _called(specs[0].version, specs[1].version)
    one, other = called if is_backward else called[::-1]
    # What it looks like is shown by the reason, which knows what may be shown.
    yield f"      {one} takes what {other} rejects: {'; '.join(found.reasons)}"


def _called(old: str, new: str) -> tuple[str, str]:
    """Return what two versions are called: their numbers, where these tell them apart."""
    return ("the old one", "the new one") if old == new else (old, new)


def _verdict_lines(changes: Diff, mode: Mode) -> Iterator[str]:
    asked, broken = bump_of(changes, mode), breaking(changes, mode)
    yield f"{_called(changes.old_version, changes.new_version)[1]} {_MEANS[changes.effect]}"
    if mode is not Mode.NONE:
        yield f"{mode.value}: {'compatible' if not broken else counted(len(broken), 'breaking change')}"
    if asked is not Bump.NONE:
        yield f"asks for a {asked.word} bump: {changes.old_version} → {bumped(changes.old_version, asked)}"


def _held_lines(held: Held | None) -> Iterator[str]:
    if held is None:
        return
    old, new = _called(held.old_version, held.new_version)
    if held.refused:
        yield f"{held.file}: {new} refuses all of it: {held.refused}"
        return
    yield f"{held.file}: {counted(held.rows, 'row')}"
    yield f"  {old} rejects {held.rejected_by_old:,}, {new} rejects {held.rejected_by_new:,}"
    for reason in held.reasons:
        yield f"    {reason.rows:>12,}  {reason.text}"


def _document(changes: Diff, mode: Mode, held: Held | None) -> dict[str, Any]:
    asked = bump_of(changes, mode)
    found: dict[str, Any] = msgspec.to_builtins(changes)
    for row, change in zip(found["changes"], changes.changes, strict=True):
        row |= {
            "effect": change.effect.value,
            "bump": change.bump.word,
            "backward": change.effect.keeps_backward,
            "forward": change.effect.keeps_forward,
            "exposes": change.exposes,
        }
    return {
        **found,
        "effect": changes.effect.value,
        "mode": mode.value,
        "compatible": not breaking(changes, mode),
        "bump": asked.word,
        "next_version": bumped(changes.old_version, asked),
        "against": None if held is None else msgspec.to_builtins(held),
    }
