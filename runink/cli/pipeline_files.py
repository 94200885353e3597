"""Pipeline files as commands are given them: by name, by the folder they are in, or as all of a project."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from runink.errors import NotFound

FILES_MAX: Final = 10_000  # found below a folder; more is no project


def pipeline_files(names: Iterable[str | Path]) -> Iterator[Path]:
    """Yield the files that are named, and the pipelines below folders that are, each once."""
    seen: set[Path] = set()
    for name in names:
        path = Path(name)
        for one in pipelines_below(path) if path.is_dir() else [path]:
            if one not in seen:
                seen.add(one)
                yield one


def pipelines_below(folder: Path) -> list[Path]:
    """Return the pipeline files below a folder, sorted, none where there is no such folder; what is hidden is nobody's text."""
    return sorted(_below(folder))[:FILES_MAX]


def _below(folder: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(base) / name for name in names if name.endswith(".dsl"))


def features_of(root: Path, *, hint: str) -> list[Path]:
    """Return all pipelines of a project, as seen from here. Raises NotFound if it has none."""
    here = Path.cwd()
    found = pipelines_below(root / "features")
    if not found:
        text = f"there is no pipeline in {root / 'features'}"
        raise NotFound(text, code="file_not_found", hint=hint)
    return [path.relative_to(here) if path.is_relative_to(here) else path for path in found]
