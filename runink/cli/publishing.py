"""Where a version comes from that is published here: the working copy, and who publishes it."""

from __future__ import annotations

import os
from pathlib import Path

from runink.cli.git import working_copy
from runink.clock import now_ms
from runink.governance.registry import Origin
from runink.machine_reading import user_name


def origin_of(root: Path, file: str) -> Origin:
    """Return where a version comes from, as far as can be known here: git is asked, who and when is the machine's word."""
    copy = working_copy(root)
    return Origin(file, who(), now_ms(), copy.commit, copy.is_dirty)


def who() -> str:
    """Return the name of the user who runs this command."""
    return user_name(os.getuid())
