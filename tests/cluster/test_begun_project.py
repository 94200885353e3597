"""`runi init` as a user has it: a project whose tests pass at once, and that writes over nothing."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from runi_project import RUNI, Project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shop(project: Project) -> Project:
    (project.root / "runink.toml").unlink()
    said = project.runi("init", "my shop", "--name", "shop")
    assert said.code == 0, said
    assert said.out.splitlines()[-1] == "next: cd my shop && runi test"
    return Project(project.root / "my shop")


def test_the_tests_of_a_new_project_pass_at_once_and_its_pipeline_runs(shop: Project):
    tested = shop.runi("test")
    assert tested.code == 0, tested
    assert tested.out.splitlines()[-1] == "3 passed"
    ran = shop.run("features/shop.dsl")
    assert ran.code == 0, ran
    assert ran.document["herd"] == "shop"
    steps = {step["name"]: step for step in ran.document["steps"]}
    assert (steps["silver"]["rows_in"], steps["silver"]["rejected"]) == (10, 3)
    assert shop.read("out/customers.csv").count("\n") == 5


def test_it_is_written_as_runi_fmt_writes_and_lint_finds_nothing(shop: Project):
    assert shop.runi("fmt", "--check").code == 0
    said = shop.runi("lint")
    assert (said.code, said.out) == (0, "1 file: nothing to tell\n")


def test_its_goldens_are_as_an_update_writes_them(shop: Project):
    said = shop.runi("test", "--update")
    assert said.out.splitlines()[-1] == "3 unchanged"


def test_what_it_has_for_continuous_integration_runs(shop: Project, tmp_path: Path):
    runi = tmp_path / "bin/runi"
    runi.parent.mkdir()
    runi.write_text(f'#!/bin/sh\nexec {" ".join(RUNI)} "$@"\n')
    runi.chmod(0o755)

    def ran() -> int:
        path = {"PATH": f"{runi.parent}:/usr/bin:/bin"}
        done = subprocess.run(["./ci.sh"], cwd=shop.root, env=path, timeout=60, check=False)
        return done.returncode

    assert ran() == 0
    assert 'tests="3" failures="0" errors="0"' in shop.read("reports/junit.xml")
    assert "./ci.sh" in shop.read(".github/workflows/ci.yml")
    shop.write("golden/customers.csv", "customer,orders,spent\n")
    assert ran() == 1


def test_a_second_time_is_refused_and_changes_nothing(shop: Project):
    before = {path: shop.read(path) for path in shop.files(".")}
    said = shop.runi("init", ".", "--name", "other", "-o", "json")
    assert said.code == 5
    assert said.document["error"]["code"] == "project_exists"
    assert "contracts/orders.py" in said.document["error"]["text"]
    assert {path: shop.read(path) for path in shop.files(".")} == before


def test_what_a_repository_has_already_is_left_as_it_is(project: Project):
    repository = Project(project.root / "warehouse-2")
    repository.write("README.md", "ours")
    repository.write("LICENSE", "ours")
    said = repository.runi("init", "-o", "json")
    assert said.code == 0, said
    assert (said.document["name"], said.document["left"]) == ("warehouse-2", ["README.md"])
    assert repository.read("README.md") == "ours"
    assert repository.runi("compile", "features/warehouse-2.dsl").code == 0


def test_a_name_that_a_pipeline_cannot_have_says_so(project: Project):
    said = project.runi("init", "x", "--name", "My Shop")
    assert (said.code, "lower-case letters" in said.err) == (8, True)
    odd = project.runi("init", "日本")
    assert (odd.code, "--name" in odd.err) == (8, True)
    assert not (project.root / "x").exists()


def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_left(project: Project):
    project.write("taken/contracts", "a file where a folder should be")
    said = project.runi("init", "taken", "--name", "n")
    assert said.code == 1, said
    assert "contracts" in said.err
    assert project.files("taken") == ["taken/contracts"]


def test_a_wheel_holds_the_project_to_begin_with(tmp_path: Path):
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    folder = ROOT / "runink/cli/templates"
    ours = {str(path.relative_to(ROOT)) for path in folder.rglob("*") if path.is_file()}
    assert ours <= set(zipfile.ZipFile(wheel).namelist())
    assert len(ours) > 10
