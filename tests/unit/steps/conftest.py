"""Fixtures for steps: files of a bundle, and what they import from a test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what a test's bundle added to the path and to the modules."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    _forget()
    yield
    _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "steps"]:
        del sys.modules[name]


@pytest.fixture
def steps_file(tmp_path: Path, own_modules: None) -> Callable[[str], None]:
    """Write steps/f.py of the bundle."""

    def write(text: str) -> None:
        path = tmp_path / "steps" / "f.py"
        path.parent.mkdir(exist_ok=True)
        head = "import pyarrow as pa\nimport pyarrow.compute as pc\nfrom runink import step\n"
        path.write_text(head + text)

    return write


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that steps of a test import to meet the test: `import probe`."""
    module = ModuleType("probe")
    monkeypatch.setitem(sys.modules, "probe", module)
    return module
