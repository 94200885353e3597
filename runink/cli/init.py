"""`runi init`: a project to begin with. It has one of everything, and `runi test` passes in it.

Its files stand in `templates/project`: `.txt` is taken off their names, `dot-` becomes a dot, `NAME` and `{{name}}` the project's name.
Nothing that is there is written over. What a repository mostly has already (README.md, .gitignore) is left as it is; anything else in the way is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import click

from runink.cli.exits import told
from runink.cli.options import output_option
from runink.cli.wording import echo_json
from runink.errors import Conflict, Invalid
from runink.names import pipeline_name

LEFT_ALONE: Final = frozenset({"README.md", ".gitignore"})
SHOWN_MAX: Final = 5  # of files that are in the way


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option(
    "--name",
    metavar="NAME",
    help="What the pipeline and its herd are called; as the folder otherwise.",
)
@output_option
def init(folder: Path, name: str | None, output: str) -> None:
    """Make a project to begin with: a pipeline, its contracts, steps and herd, golden tests that pass, and a file for continuous integration.

    Exit code 5 if a file of it is there already: nothing is written then.
    """
    name = pipeline_name(name) if name is not None else _name_of(folder)
    wanted = dict(_files(name))
    there = [path for path in wanted if os.path.lexists(folder / path)]
    _check_free(folder, [path for path in there if path not in LEFT_ALONE])
    made = {path: body for path, body in wanted.items() if path not in there}
    try:
        _write(folder, made)
    except OSError as error:
        raise told(error, where=error.filename or folder) from error
    if output == "json":
        echo_json(
            {"name": name, "root": str(folder.absolute()), "files": list(made), "left": there}
        )
        return
    click.echo(f"project {name}:")
    click.echo("\n".join(f"  {folder / path}" for path in made))
    for path in there:
        click.echo(f"  {folder / path} was there, and is as it was")
    inside = "" if folder.absolute() == Path.cwd() else f"cd {folder} && "
    click.echo(f"next: {inside}runi test")


def _name_of(folder: Path) -> str:
    """Return the folder's name made one of a pipeline. Raises Invalid where nothing of it is left."""
    from runink.dsl.checker import named  # noqa: PLC0415 - only where no name is given

    found = named(folder.absolute().name, "")
    if not found:
        raise Invalid(
            f"{folder.absolute()} has a name that no pipeline can have",
            code="invalid_name",
            hint="give it one: runi init --name NAME",
        )
    return found


def _check_free(folder: Path, taken: list[str]) -> None:
    if not taken:
        return
    shown = ", ".join(taken[:SHOWN_MAX]) + (" …" if len(taken) > SHOWN_MAX else "")
    where = "this folder" if folder.absolute() == Path.cwd() else str(folder)
    raise Conflict(
        f"{where} has {shown} already, and nothing is written over",
        code="project_exists",
        hint="name a folder that is not there yet: runi init FOLDER",
    )


def _files(name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the project's files: path and content."""
    root = files("runink.cli") / "templates" / "project"
    for path, template in sorted(_templates(root, "")):
        target = path.removesuffix(".txt").replace("dot-", ".").replace("NAME", name)
        yield target, template.read_bytes().replace(b"{{name}}", name.encode())


def _templates(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry


def _write(folder: Path, made: dict[str, bytes]) -> None:
    """Write all of it; after an error nothing of it is left. Raises OSError."""
    done: list[Path] = []
    try:
        for name, body in made.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:  # somebody may have been faster
                done.append(path)
                file.write(body)
            if name.endswith(".sh"):
                path.chmod(path.stat().st_mode | 0o111)
    except OSError:
        for path in done:
            with suppress(OSError):
                path.unlink()
        raise
