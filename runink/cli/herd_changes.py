"""`runi herd init`, `create`, `update`, `delete`, `undelete`: a herd's file to begin with, and its record in the cluster."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

import click
import msgspec

from runink.cli.asking import Where, asked, asks_api
from runink.cli.exits import told
from runink.cli.herd import name_argument, said_in, state_told
from runink.cli.options import DURATION, output_option, project_here
from runink.cli.wording import echo_json, harmless
from runink.errors import Conflict, Invalid
from runink.herds.file import FILE_BYTES_MAX, read_herd
from runink.herds.lifecycle import KEPT_MS, KEPT_MS_MAX, differences
from runink.herds.record import HerdRecord
from runink.herds.writing import said_of
from runink.names import herd_name
from runink.operations.catalog import herds
from runink.operations.catalog.herds import HerdDocument
from runink.quantities import format_duration, format_moment
from runink.textfiles import read_text

STDIN: Final = "-"

file_option = click.option(
    "-f",
    "--file",
    "file",
    required=True,
    metavar="FILE",
    help="The herd's file, as herds/NAME.toml; - reads standard input.",
)
revision_option = click.option(
    "--if-revision",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only if the herd is at this revision, as runi herd get prints it.",
)
dry_run_option = click.option("-n", "--dry-run", is_flag=True, help="Say what would change, and change nothing.")  # fmt: skip


@click.command()
@name_argument
@output_option
def init(name: str, output: str) -> None:
    """Write herds/HERD.toml, a file to begin with: all that it may say stands there as comments. Exit code 5 if it is there already."""
    herd = herd_name(name)
    template = files("runink.cli") / "templates" / "herd" / "NAME.toml.txt"
    path = project_here() / "herds" / f"{herd}.toml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(template.read_text().replace("{{name}}", herd))
    except FileExistsError as error:
        text = f"{path} is there already, and nothing is written over"
        raise Conflict(text, code="file_exists", hint="edit it, or move it away") from error
    except OSError as error:
        raise told(error, where=path) from error
    if output == "json":
        echo_json({"herd": herd, "file": str(path)})
    else:
        click.echo(f"{path}\nnext: runi herd create -f {path}")


@click.command()
@file_option
@output_option
@asks_api
def create(file: str, output: str, where: Where) -> None:
    """Declare the herd of FILE. From then on it is as it was declared, whatever projects say of it. Exit code 5 if it is declared already, or deleted."""
    said = _read(file)
    with asked(where, makes_state=True) as client:
        found: HerdDocument = client.call(herds.CREATE, says=said_of(said))
    _tell(found, output, f"herd {said.herd} is declared")


@click.command()
@file_option
@revision_option
@dry_run_option
@output_option
@asks_api
def update(file: str, *, if_revision: int | None, dry_run: bool, output: str, where: Where) -> None:
    """Declare the herd of FILE anew, and say what that changes. What runs goes on as it began; quotas count from now on.

    Exit code 5 if somebody else has changed it meanwhile, or since --if-revision.
    """
    said = _read(file)
    with asked(where) as client:
        before: HerdDocument = client.call(herds.GET, herd=said.herd)
        _check_revision(before, if_revision)
        fields = {"herd": said.herd, "says": said_of(said), "dry_run": dry_run}
        after: HerdDocument = client.call(herds.UPDATE, if_match=before, **fields)
    lines = differences(said_in(before), said_in(after))
    if output == "json":
        echo_json({**msgspec.to_builtins(after), "changes": lines, "dry_run": dry_run})
        return
    if not lines and before.declared is not None:
        did = "is so already"
    else:
        did = "would be declared so" if dry_run else "is declared so"
    click.echo(f"herd {said.herd} {did}, revision {after.revision}{':' if lines else ''}")
    for line in lines:
        click.echo(harmless(f"  {line}"))
    _tell_unenforced(after.unenforced)


def _check_revision(found: HerdDocument, wanted: int | None) -> None:
    if wanted is not None and found.revision != wanted:
        raise Conflict(
            f"herd {found.herd} is at revision {found.revision}, not {wanted}",
            code="revision_changed",
            hint=f"runi herd get {found.herd} shows it as it is now",
        )


@click.command()
@name_argument
@click.option(
    "--keep",
    "kept_ms",
    type=DURATION,
    metavar="TIME",
    default=format_duration(KEPT_MS),
    show_default=True,
    help="For how long it can be taken back.",
)
@revision_option
@output_option
@asks_api
def delete(name: str, *, kept_ms: int, if_revision: int | None, output: str, where: Where) -> None:
    """Let nothing new come into HERD: no run, no version, no schedule. What it has stays until it is purged, and its name is taken.

    Exit code 5, with their names, if runs of it have not ended.
    """
    if kept_ms > KEPT_MS_MAX:
        text = f"--keep is {format_duration(KEPT_MS_MAX)} at most"
        raise Invalid(text, code="usage", hint="undelete it to keep it for ever")
    herd = herd_name(name)
    fields = {"herd": herd, "keep_ms": kept_ms, "if_match": if_revision or "*"}
    with asked(where) as client:
        found: HerdDocument = client.call(herds.DELETE, **fields)
    assert found.deletion is not None
    until = format_moment(found.deletion.until_ms)
    _tell(found, output, f"herd {herd} is deleted; until {until} runi herd undelete takes that back, then all of it goes")  # fmt: skip


@click.command()
@name_argument
@output_option
@asks_api
def undelete(name: str, output: str, where: Where) -> None:
    """Have HERD as it was before it was deleted. Its schedules go on where they were. Exit code 5 if it is not deleted, or is being purged."""
    herd = herd_name(name)
    with asked(where) as client:
        found: HerdDocument = client.call(herds.UNDELETE, herd=herd)
    _tell(found, output, f"herd {herd} is back: {state_told(found)}")


def _read(file: str) -> HerdRecord:
    """Return what a file says. Raises Invalid, NotFound."""
    if file != STDIN:
        return read_herd(read_text(Path(file), file), file=file)
    text = sys.stdin.read(FILE_BYTES_MAX + 1)
    return read_herd(text, file="standard input")


def _tell(found: HerdDocument, output: str, line: str) -> None:
    if output == "json":
        echo_json(found)
        return
    click.echo(harmless(f"{line}, revision {found.revision}"))
    _tell_unenforced(found.unenforced)


def _tell_unenforced(parts: tuple[str, ...]) -> None:
    for part in parts:
        click.echo(harmless(f"note: nothing enforces {part} yet"), err=True)
