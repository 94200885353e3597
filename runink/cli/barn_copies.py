"""Copies of a Barn's folder, kept beside it before a command changes what cannot be changed back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from runink.errors import Refused
from runink.storage.disk import RealDisk

COPIES_MAX: Final = 99


def copied(disk: RealDisk, before: str) -> str:
    """Copy the folder aside, and return where to; a copy that bears the name is whole. Raises Refused where so many are there already, OSError."""
    for number in range(1, COPIES_MAX + 1):
        target = Path(f"{disk.where}.before-{before}-{number}")
        if not target.exists():
            begun = target.with_name(f"{target.name}.begun")
            shutil.rmtree(begun, ignore_errors=True)
            shutil.copytree(disk.where, begun)
            begun.rename(target)
            return str(target)
    raise Refused(
        f"there are {COPIES_MAX} copies of {disk.where} already", code="copies", hint="remove some"
    )
