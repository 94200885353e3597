"""A desk with walls, an agent and a fork server that is ready."""

from __future__ import annotations

import gc
import signal
from pathlib import Path

import pytest
from desk_world import DeskWorld, FakeWalls
from runink.sandbox import lives


@pytest.fixture
def walls():
    return FakeWalls()


@pytest.fixture
def pool():
    """How many cells may wait."""
    return 0


@pytest.fixture
def killed(monkeypatch):
    """Signals that were sent by a pidfd: none is a process's here."""
    sent = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda _pidfd, number: sent.append(number))
    return sent


@pytest.fixture
def world(tmp_path, monkeypatch, walls, killed, pool):
    # The children of this process are other tests' business, and here none is a slice.
    monkeypatch.setattr(lives, "kill_strangers", lambda _known: 0)
    monkeypatch.setattr(lives, "children", list)
    before = _open_count()
    world = DeskWorld(tmp_path, walls=walls, pool=pool)
    yield world
    world.close()
    assert _open_count() <= before + 1, "the descriptor of its epoll, at most"


@pytest.fixture
def agent(world):
    agent = world.agent()
    world.turn()
    return agent


@pytest.fixture
def fork_server(world, agent):
    peer = world.fork_server()
    agent.heard()
    return peer


def _open_count():
    gc.collect()  # what earlier tests have dropped in circles closes its own now, and not between two counts
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
