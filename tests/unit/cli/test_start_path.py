"""What `runi` loads before it does anything: people and editors wait for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "aiohttp",
    "anyio",
    "asyncio",
    "duckdb",
    "lark",
    "polars",
    "pyarrow",
    "pydantic",
    "rich",
    "trio",
}
LOADED = "import sys, json; from runink.cli.main import main\n{call}\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"


def loaded(call: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(call=call)], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def run(words: list[str]) -> str:
    return f"try: main({words!r})\nexcept SystemExit: pass"


def test_the_version_is_told_without_loading_what_commands_need() -> None:
    found = loaded(run(["--version"]))
    assert not found & (HEAVY | {"click", "msgspec"})


@pytest.mark.parametrize("words", [["--help"], ["fmt", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    assert not loaded(run(words)) & HEAVY


def test_a_small_file_is_formatted_without_the_grammar(tmp_path) -> None:
    file = tmp_path / "x.dsl"
    file.write_text('Feature: F\nScenario: S\n@source( "csv://a.csv" @meta(a=[1]))\nGiven x\n')
    found = loaded(run(["fmt", str(file)]))
    assert "    @source(" in file.read_text()
    assert not found & HEAVY


@pytest.mark.parametrize("module", ["run", "up", "agent", "server"])
def test_who_does_not_serve_the_api_loads_nothing_of_it(module: str) -> None:
    found = loaded(f"import runink.cli.{module}")
    assert not found & {"aiohttp", "runink.serving_api"}


@pytest.mark.parametrize(
    "module", ["runs", "logs", "slices", "lineage", "why", "status", "node", "sample", "events"]
)
def test_who_asks_a_cluster_loads_no_actor_before_there_is_none_to_ask(module: str) -> None:
    found = loaded(f"import runink.cli.{module}")
    assert not [one for one in found if one.startswith("runink.actors")]
    assert "runink.node" not in found
