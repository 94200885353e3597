"""What tests with real processes use."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from runi_project import Project


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slices behind bubblewrap under the second event loop: each takes a tenth of a second or more, and the agent's side is that of cells."""
    twice = [item for item in items if {"bubblewrap", "trio"} <= set(_parameters(item))]
    items[:] = [item for item in items if item not in twice]
    config.hook.pytest_deselected(items=twice)


def _parameters(item: pytest.Item) -> list[str]:
    return item.callspec.id.split("-") if hasattr(item, "callspec") else []


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Leave our log as it was: a command that a test calls in this process shows warnings as it would in its own."""
    log = logging.getLogger("runink")
    kept, propagates = log.handlers[:], log.propagate
    yield
    log.handlers[:], log.propagate = kept, propagates


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project; whatever of it still runs in the end is killed."""
    project = Project(tmp_path)
    (tmp_path / "runink.toml").touch()
    yield project
    project.end()
