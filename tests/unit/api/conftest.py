"""The HTTP server runs on asyncio alone, and on uvloop where that is installed. What touches sockets is tested on both: modules that say BOTH_LOOPS."""

from __future__ import annotations

from typing import Any

import pytest

LOOPS = {"asyncio": False, "uvloop": True}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "anyio_backend" in metafunc.fixturenames:
        names = [*LOOPS] if getattr(metafunc.module, "BOTH_LOOPS", False) else ["asyncio"]
        metafunc.parametrize("anyio_backend", names, indirect=True)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": LOOPS[request.param]}
