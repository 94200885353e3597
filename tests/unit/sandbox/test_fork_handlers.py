"""What is registered to be done after a fork, and what of it a copy cannot do without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType

import pytest
from runink.node import ENTRY, PRELOADED
from runink.sandbox.namespaces import Handlers, Needed, forking

EXIT_CODE = 7


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Handlers]:
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)  # nothing of a test stays
    yield Handlers()
    monkeypatch.undo()


def own() -> None:
    """Be something to register."""


def module(name: str, ending: str) -> dict[str, ModuleType]:
    made = ModuleType(name)
    made.__file__ = f"/x/{name}{ending}"
    return {name: made}


def test_nothing_is_needed_of_what_the_standard_library_registers(handlers: Handlers) -> None:
    assert handlers.needed({}) is Needed.NOTHING
    for name in ("threading", "logging", "random", "concurrent.futures.thread"):
        one = lambda: None  # noqa: E731 - its module is set
        one.__module__ = name
        os.register_at_fork(after_in_child=one)
    assert handlers.needed({"sys": sys}) is Needed.NOTHING


@pytest.mark.parametrize("when", ["before", "after_in_child", "after_in_parent"])
def test_anything_else_is_needed(handlers: Handlers, when: str) -> None:
    os.register_at_fork(**{when: own})
    assert handlers.needed({}) is Needed.EVERYTHING
    assert handlers.names == {__name__}


@pytest.mark.parametrize("ending", EXTENSION_SUFFIXES)
def test_what_a_compiled_library_may_have_registered_is_needed_but_for_those_that_are_known(
    handlers: Handlers, ending: str
) -> None:
    known = module("pyarrow.lib", ending) | module("msgspec._core", ending)
    assert handlers.needed(known | module("_json", ending)) is Needed.NOTHING
    assert handlers.needed(known | module("numpy.core", ".py")) is Needed.NOTHING
    assert handlers.needed(known | module("numpy._core", ending)) is Needed.WITH_C


def test_nothing_is_needed_where_no_more_is_loaded_than_every_fork_server_of_a_node_has() -> None:
    code = (
        "from runink.sandbox.namespaces import Handlers\n"
        "handlers = Handlers()\n"
        "import importlib, sys\n"
        f"for module in {[*PRELOADED, ENTRY.partition(':')[0]]}: importlib.import_module(module)\n"
        # numpy is an extra, which Arrow loads where it lies in the environment.
        "known = {name: one for name, one in sys.modules.items() if not name.startswith('numpy')}\n"
        "print(handlers.needed(known).name, handlers.names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("NOTHING"), done.stdout


def test_a_copy_that_needs_everything_is_made_by_python() -> None:
    assert forking(Needed.EVERYTHING) is os.fork


@pytest.mark.parametrize("needed", [Needed.WITH_C, Needed.NOTHING])
def test_a_copy_is_made_with_less_around_it(needed: Needed) -> None:
    pid = forking(needed)()
    if not pid:
        os._exit(EXIT_CODE)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == EXIT_CODE
