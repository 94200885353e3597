"""What tests with real processes use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from runi_project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project; whatever of it still runs in the end is killed."""
    project = Project(tmp_path)
    (tmp_path / "runink.toml").touch()
    yield project
    for pid in project.processes():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
