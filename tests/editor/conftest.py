"""What tests with an editor use. pygls knows one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from editor_client import Editor


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def editor(tmp_path: Path) -> AsyncIterator[Editor]:
    """An editor with a project open; its server is gone in the end, whatever happened."""
    editor = Editor(tmp_path)
    await editor.start()
    yield editor
    await editor.stop()


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Editor]:
    """An editor for many questions about one project, which nobody changes."""
    editor = Editor(tmp_path_factory.mktemp("shared"))
    editor.write_project()
    await editor.start()
    yield editor
    await editor.stop()
