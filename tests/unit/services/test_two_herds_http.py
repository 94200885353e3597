"""The two-herd matrix over HTTP: tokens, paths, statuses and problems say the same as the services do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from http_carrier import OverHttp, over_http
from two_herds import BY_NAME, mistakes_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The HTTP server runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(scope="module")
async def carrier(anyio_backend: str) -> AsyncIterator[OverHttp]:
    """One server for all worlds."""
    del anyio_backend
    async with over_http() as made:
        yield made


@pytest.mark.parametrize("name", BY_NAME)
async def test_who_is_let_in_over_http_is_whom_the_plain_rules_let_in(name: str, carrier: OverHttp):
    assert await mistakes_of(BY_NAME[name], carrier) == []
