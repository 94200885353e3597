"""`runi watch` as a person has it beside an editor: it says what each save came to, and goes on whatever that is."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from runi_project import Project

LINE_S_MAX = 60.0


class Watching:
    """A watch under way; its lines are read as they come."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.child = child
        self.seen = b""

    def until(self, *texts: str) -> str:
        """Read until one of the texts has come; return all that came before and with it."""
        assert self.child.stdout is not None
        descriptor = self.child.stdout.fileno()
        wanted = [text.encode() for text in texts]
        while not any(text in self.seen for text in wanted):
            ready, _, _ = select.select([descriptor], [], [], LINE_S_MAX)
            piece = os.read(descriptor, 65536) if ready else b""
            assert piece, f"{texts} did not come: {self.seen.decode()}"
            self.seen += piece
        end = min(self.seen.index(text) + len(text) for text in wanted if text in self.seen)
        found, self.seen = self.seen[:end], self.seen[end:]
        return found.decode()


@contextmanager
def watching(project: Project, *words: str) -> Iterator[Watching]:
    child = project.popen("watch", *words, stderr=subprocess.STDOUT)
    try:
        yield Watching(child)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=LINE_S_MAX)
        assert child.returncode == 0, out
        assert b"no longer watching" in out
        assert b"Traceback" not in out
    finally:
        child.kill()
        child.communicate()


@pytest.fixture
def shop(project: Project) -> Project:
    (project.root / "runink.toml").unlink()
    assert project.runi("init", ".", "--name", "shop").code == 0
    return project


def test_each_save_is_compiled_and_a_mistake_is_shown_and_mended(shop: Project):
    pipeline = shop.read("features/shop.dsl")
    with watching(shop) as watch:
        watch.until("watching ", "Ctrl-C")
        watch.until("2 scenarios")
        shop.write("features/shop.dsl", pipeline.replace("@contract(", "@contrakt("))
        assert "features/shop.dsl changed" in watch.until("did you mean @contract?")
        shop.write("features/shop.dsl", pipeline)
        watch.until("2 scenarios")
        shop.write("contracts/orders.py", "class Order(")
        assert "contracts/orders.py changed" in watch.until("cannot be imported")


def test_each_save_is_tested(shop: Project):
    steps = shop.read("steps/orders.py")
    golden = shop.read("golden/customers.csv")
    with watching(shop, "features/shop.dsl", "--test") as watch:
        watch.until("3 passed")
        shop.write("steps/orders.py", steps.replace('order["price"]', "1"))
        told = watch.until("1 passed, 2 failed")
        assert "steps/orders.py changed" in told
        assert "total is " in told
        shop.write("steps/orders.py", steps)
        watch.until("3 passed")
        shop.write("golden/customers.csv", golden.replace("93.48", "93.49"))
        assert "golden/customers.csv changed" in watch.until("2 passed, 1 failed")


def test_a_save_overtakes_a_run_that_is_under_way_which_publishes_nothing(shop: Project):
    steps = shop.read("steps/orders.py")
    with watching(shop, "--run") as watch:
        watch.until("succeeded")
        (shop.root / "out/orders.parquet").unlink()
        slow = steps.replace("    return", "    import time\n    time.sleep(600)\n    return")
        shop.write("steps/orders.py", slow)
        watch.until("silver: running")
        shop.write("steps/orders.py", steps)
        told = watch.until("succeeded")
        assert "cancelled" in told
        watch.until("next:")
        assert (shop.root / "out/orders.parquet").exists()


def test_a_pipeline_that_comes_later_is_compiled_when_it_comes(project: Project):
    with watching(project) as watch:
        watch.until("there is no .dsl file in")
        project.pipeline('@source("csv://a.csv")\n@sink("csv://out/b.csv")')
        watch.until("features/p.dsl changed")
        watch.until("1 scenario")


def test_an_interrupt_ends_what_is_under_way_first(shop: Project):
    steps = shop.read("steps/orders.py")
    slow = steps.replace("    return", "    import time\n    time.sleep(600)\n    return")
    shop.write("steps/orders.py", slow)
    with watching(shop, "--run") as watch:
        watch.until("silver: running")
    assert shop.files("out") == []
    assert shop.runi("runs").out.count("cancelled") == 1
