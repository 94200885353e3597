"""A slice takes on the packages of its environment, before it imports the first step.

    sys.path    the project's root      put there by `steps.registry`
                Python's own library    no package hides a module of it, as in any virtual environment
                the environment         so its packages come before those that are installed beside Runink
                Runink's packages       so a step finds Polars also where its lock does not name it
    PATH        the environment's programs first, for steps that are programs

Its `.pth` files are run as Python runs them in a virtual environment: they are the packages' own code, so this is done within the slice only.
"""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Collection
from pathlib import Path

from runink.environments.packages import conflicts, installed, packages_of, refused
from runink.environments.worker import site_packages
from runink.errors import Refused


def activate(environment: str, *, spare: Collection[str] = ()) -> None:
    """Let this process import from the environment.

    The modules in `spare` are loaded and nobody holds them: they make room where the environment has one of these packages itself.
    Raises Invalid (`packages_conflict`) where another version of one of its packages is loaded already, Unavailable (`environment_damaged`).
    """
    root = Path(environment)
    packages = packages_of(root)
    spared = {name.partition(".")[0] for name in spare}
    if any(module in spared for one in packages for module in one.modules):
        for name in spare:
            sys.modules.pop(name, None)
    loaded = {name.partition(".")[0] for name in tuple(sys.modules)} - sys.stdlib_module_names
    # Looking at what is installed reads folders: only where a name is loaded at all.
    if any(module in loaded for one in packages for module in one.modules):
        found = conflicts(packages, loaded, installed(sys.path))
        if found:
            raise refused(found)
    folder = str(site_packages(root))
    sys.path.insert(_behind_library(), folder)
    try:
        site.addsitedir(folder)
    except SystemExit as error:
        text = f"a .pth file of the packages in {folder} ends the process"
        hint = "find it there, and leave its package out of the lock"
        raise Refused(text, code="packages_unusable", hint=hint) from error
    programs = str(root / "bin")
    os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])


def _behind_library() -> int:
    """Return the place behind the last folder of Python's own library."""
    library = str(Path(os.__file__).parent)
    places = [
        place
        for place, entry in enumerate(sys.path, 1)
        if entry == library or entry.endswith(("lib-dynload", ".zip"))
    ]
    return max(places, default=0)
