"""What git knows of a project's folder: the commit, whether it was changed since, and files as they were.

git itself is asked, in a process of its own and with a limit; a project without it goes without.  No hook runs, nothing is written into the repository, and no
question is put to a terminal.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runink.errors import Invalid, NotFound, Refused

GIT_S_MAX: Final = 30.0  # a repository of a million files takes a second or two to look through
TREE_BYTES_MAX: Final = 1 << 30  # of a project at a revision: contracts and code, no data
STATE: Final = ":(exclude,glob)**/.runink/**"  # what a cluster keeps is no change of the project


@dataclass(frozen=True, slots=True)
class WorkingCopy:
    """The commit that is checked out (empty where there is none yet), and whether anything differs from it."""

    commit: str = ""
    is_dirty: bool = False


def working_copy(root: Path) -> WorkingCopy:
    """Return what is checked out in a folder; nothing, if git is not there or the folder is in no repository. Raises Refused for a repository that git refuses."""
    try:
        head = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    except NotFound:
        return WorkingCopy()
    status = _git(root, "status", "--porcelain", "--untracked-files=normal", "--", ".", STATE)
    return WorkingCopy(head.decode().strip(), bool(status.strip()))


@contextmanager
def tree_at(root: Path, revision: str) -> Iterator[Path]:
    """Yield a folder with the files below `root` as they were at a revision. Raises Invalid (`git_revision`), NotFound (`git_missing`), Refused."""
    if revision.startswith("-"):
        raise _no_revision(revision)
    try:
        _git(root, "rev-parse", "--git-dir")
    except NotFound as error:
        if error.code == "git_missing":
            raise
        text = f"{root} is in no git repository, so there is no {revision}"
        raise NotFound(text, code="git_nothing", hint="name two files or published versions") from None  # fmt: skip
    try:
        commit = _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except NotFound:
        raise _no_revision(revision) from None
    archive = _git(root, "archive", "--format=tar", commit.decode().strip())
    if len(archive) > TREE_BYTES_MAX:
        raise Refused(
            f"the project at {revision} is larger than {TREE_BYTES_MAX >> 30} GiB",
            code="git_tree_large",
            hint="keep data out of the repository",
        )
    with tempfile.TemporaryDirectory(prefix="runink-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            _extract(files, Path(folder))
        yield Path(folder)


def _extract(files: tarfile.TarFile, folder: Path) -> None:
    """Write the plain files of an archive. A link may lead anywhere, and a contract needs none."""
    for member in files:
        target = folder / member.name
        inside = not Path(member.name).is_absolute() and ".." not in Path(member.name).parts
        content = files.extractfile(member) if inside and member.isfile() else None
        if content is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())


def _no_revision(revision: str) -> Invalid:
    return Invalid(
        f"git knows no revision {revision}",
        code="git_revision",
        hint="a commit, a branch, a tag or HEAD~1, as git log shows them",
    )


def _git(root: Path, *words: str) -> bytes:
    """Return what git prints. Raises NotFound where there is no git, no repository or no such thing in it, Refused for everything else."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603 - our own words; a revision that begins like an option is refused above
            ["git", "-C", str(root), *words],  # noqa: S607 - the user's own git
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=GIT_S_MAX,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        raise NotFound(
            "git is not installed", code="git_missing", hint="apt-get install git"
        ) from None
    except subprocess.TimeoutExpired:
        raise Refused(
            f"git took longer than {GIT_S_MAX:.0f} s for {words[0]}", code="git_failed"
        ) from None
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip()
    if not said or "not a git repository" in said:
        raise NotFound(said or "not found", code="git_nothing")
    raise Refused(f"git {words[0]}: {said}", code="git_failed")
