"""The real Prometheus, of the distribution's package: it scrapes what a test gives it, and is asked what it has got."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import anyio
from barn_group import DYING_WITH_US, WAIT_S, until
from barn_networks import free_port
from debian import install

PACKAGE = "prometheus"
LATE = "context deadline exceeded"  # what it says of a scrape that took longer than from one to the next


def lint(text: bytes) -> str:
    """Return what promtool has to say about metrics; nothing if they are as they should be."""
    install(PACKAGE)
    words = ["promtool", "check", "metrics"]
    done = subprocess.run(words, input=text, capture_output=True, check=False, timeout=60)
    said = (done.stdout + done.stderr).decode()
    return said if said or not done.returncode else f"exit code {done.returncode}"


@dataclass
class Prometheus:
    url: str

    async def target(self, port: int) -> dict[str, Any]:
        """Wait until a target was scraped in time, and return what became of it."""

        async def scraped() -> dict[str, Any] | None:
            targets = (await self._ask("targets"))["activeTargets"]
            return next(
                (
                    one
                    for one in targets
                    if one["scrapeUrl"].endswith(f":{port}/metrics")
                    and one["health"] != "unknown"
                    and LATE not in one["lastError"]
                ),
                None,
            )

        return await until(scraped, "Prometheus scrapes")

    async def query(self, text: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and values of an instant query."""
        answer = await self._ask(f"query?{urlencode({'query': text})}")
        return [(one["metric"], float(one["value"][1])) for one in answer["result"]]

    async def _ask(self, what: str) -> dict[str, Any]:
        return (await anyio.to_thread.run_sync(_fetched, f"{self.url}/api/v1/{what}"))["data"]

    async def is_ready(self) -> bool:
        await self._ask("targets")
        return True


def _fetched(url: str) -> dict[str, Any]:
    try:
        with urlopen(url, timeout=WAIT_S) as answer:
            return json.load(answer)
    except HTTPError as error:  # it holds the connection
        error.close()
        raise ConnectionError(str(error)) from None


@asynccontextmanager
async def prometheus(folder: Path, ports: Iterable[int]) -> AsyncIterator[Prometheus]:
    """Run it, with targets at ports of loopback, for as long as the block."""
    install(PACKAGE)
    server, child = _started(folder, [f"127.0.0.1:{port}" for port in ports])
    try:
        await until(server.is_ready, "Prometheus listens")
        yield server
    finally:
        child.terminate()
        child.wait(timeout=WAIT_S)


def _started(folder: Path, targets: list[str]) -> tuple[Prometheus, subprocess.Popen[bytes]]:
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "runink", "static_configs": [{"targets": targets}]}],
    }
    folder.mkdir()
    (folder / "prometheus.yml").write_text(json.dumps(config))  # which is YAML, too
    port = free_port()
    words = [
        PACKAGE,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([*DYING_WITH_US, *words], stdout=log, stderr=log)
    return Prometheus(f"http://127.0.0.1:{port}"), child
