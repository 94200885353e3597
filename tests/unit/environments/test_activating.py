"""A slice takes on an environment: which of several packages of a name a step gets. Tried in a process each, as a slice is one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runink.environments.worker import MANIFEST, site_packages

HEAD = "import json, os, sys\nfrom runink.environments.activating import activate\n"


class Environment:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.packages = site_packages(root)
        self.packages.mkdir(parents=True)
        self.listed: list[dict[str, Any]] = []
        self.write_manifest()

    def write_manifest(self) -> None:
        (self.root / MANIFEST).write_text(json.dumps({"packages": self.listed}))

    def add(self, name: str, version: str, text: str = "") -> None:
        (self.packages / f"{name}.py").write_text(text)
        self.listed.append({"name": name, "version": version, "modules": [name]})
        self.write_manifest()

    def said(self, code: str) -> Any:
        """Run code behind `activate(ENVIRONMENT)` and return what it sets `said` to."""
        program = f"{HEAD}ENVIRONMENT = {str(self.root)!r}\n{code}\nprint(json.dumps(said))\n"
        found = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout)

    def refusal(self, code: str = "") -> Any:
        return self.said(
            f"{code}\ntry:\n    activate(ENVIRONMENT)\n    said = None\n"
            "except Exception as error:\n    said = [error.code, error.text]\n"
        )


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


def test_its_packages_come_before_ours_and_behind_pythons_own(environment: Environment):
    environment.add("polars", "0.0.1", "where = 'environment'")
    environment.add("tomllib", "1.0", "where = 'environment'")
    assert environment.said(
        "activate(ENVIRONMENT)\nimport polars, tomllib\n"
        "said = [polars.where, hasattr(tomllib, 'where')]"
    ) == ["environment", False]


def test_what_it_does_not_have_is_found_beside_runink(environment: Environment):
    assert environment.said("activate(ENVIRONMENT)\nimport click\nsaid = click.__name__") == "click"


def test_a_package_that_is_loaded_in_another_version_is_refused(environment: Environment):
    environment.add("click", "0.0.1")
    assert environment.refusal() is None
    code, text = environment.refusal("import click")
    assert code == "packages_conflict"
    assert "click is pinned to 0.0.1, and slices on this node have" in text


def test_a_package_that_is_loaded_in_the_same_version_stays_the_loaded_one(
    environment: Environment,
):
    from importlib.metadata import version

    environment.add("click", version("click"), "where = 'environment'")
    said = environment.said(
        "import click\nbefore = click\nactivate(ENVIRONMENT)\nimport click\nsaid = click is before"
    )
    assert said is True


def test_what_is_loaded_and_nobody_holds_makes_room_for_the_environments_version(
    environment: Environment,
):
    environment.add("click", "0.0.1", "where = 'environment'")
    said = environment.said(
        "import click, click.core\nspare = [name for name in sys.modules if name.startswith('click')]\n"
        "activate(ENVIRONMENT, spare=spare)\nimport click\n"
        "said = [click.where, 'click.core' in sys.modules]"
    )
    assert said == ["environment", False]


def test_what_nobody_holds_stays_loaded_where_the_environment_does_not_have_it(
    environment: Environment,
):
    environment.add("other", "1")
    said = environment.said(
        "import click\nbefore = click\nactivate(ENVIRONMENT, spare=['click'])\n"
        "import click\nsaid = click is before"
    )
    assert said is True


def test_a_package_that_would_take_our_name_is_refused(environment: Environment):
    environment.listed.append({"name": "thief", "version": "1", "modules": ["runink"]})
    environment.write_manifest()
    code, text = environment.refusal()
    assert code == "packages_conflict"
    assert "thief 1 has a module of a name that Runink has loaded already" in text


def test_a_package_named_like_a_module_of_python_is_no_conflict(environment: Environment):
    environment.add("json", "1")
    assert environment.refusal() is None


def test_files_that_python_runs_at_its_start_are_run_in_the_slice(environment: Environment):
    extra = environment.root / "extra"
    extra.mkdir()
    (extra / "beyond.py").touch()
    (environment.packages / "a.pth").write_text(f"import os; os.hooked = True\n{extra}\n")
    assert environment.said(
        "activate(ENVIRONMENT)\nimport beyond\nsaid = [os.hooked, beyond.__name__]"
    ) == [True, "beyond"]


def test_one_that_ends_the_process_is_told(environment: Environment):
    (environment.packages / "a.pth").write_text("import sys; sys.exit(3)\n")
    code, text = environment.refusal()
    assert code == "packages_unusable"
    assert ".pth" in text


def test_its_programs_are_found_first(environment: Environment):
    said = environment.said("activate(ENVIRONMENT)\nsaid = os.environ['PATH']")
    assert said.split(":")[0] == str(environment.root / "bin")


def test_an_environment_that_is_not_there_is_told(tmp_path: Path):
    environment = Environment(tmp_path)
    (tmp_path / MANIFEST).unlink()
    assert environment.refusal()[0] == "environment_damaged"
