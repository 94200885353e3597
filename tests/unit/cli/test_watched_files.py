"""What `runi watch` looks at, and what it takes for a change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from runink.cli import watch as watching
from runink.cli.watch import changes, look, watch
from runink.errors import Refused


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for path in (
        "features/a.dsl",
        "contracts/c.py",
        "steps/deep/s.py",
        "herds/h.toml",
        "golden/in/rows.csv",
        "requirements.lock",
        "data/rows.csv",
        "out/rows.csv",
        ".runink/bundles/b.py",
        "steps/__pycache__/s.py",
        "env/pyvenv.cfg",
        "env/lib.py",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    return tmp_path


def names(root: Path, paths: list[Path]) -> list[str]:
    return [str(path.relative_to(root)) for path in paths]


def test_code_and_goldens_are_looked_at_and_what_runs_write_is_not(project: Path) -> None:
    assert names(project, sorted(look(project))) == [
        "contracts/c.py",
        "features/a.dsl",
        "golden/in/rows.csv",
        "herds/h.toml",
        "requirements.lock",
        "steps/deep/s.py",
    ]


def test_a_pipeline_that_is_named_is_looked_at_wherever_it_is(project: Path) -> None:
    (project / "data/odd.txt").write_text("")
    assert project / "data/odd.txt" in look(project, [project / "data/odd.txt"])


def test_what_is_new_gone_written_or_replaced_has_changed(project: Path) -> None:
    before = look(project)
    (project / "steps/new.py").write_text("")
    (project / "herds/h.toml").unlink()
    (project / "features/a.dsl").write_text("x")
    other = project / "other"
    other.write_text("")
    status = (project / "contracts/c.py").stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(project / "contracts/c.py")
    assert names(project, changes(before, look(project))) == [
        "contracts/c.py",
        "features/a.dsl",
        "herds/h.toml",
        "steps/new.py",
    ]
    assert changes(before, before) == []


def test_a_folder_that_is_no_project_is_refused(project: Path, monkeypatch) -> None:
    monkeypatch.setattr(watching, "FILES_MAX", 3)
    with pytest.raises(Refused) as caught:
        look(project)
    assert caught.value.code == "too_many_files"


def test_what_goes_while_one_looks_is_nothing_to_fail_for(project: Path) -> None:
    (project / "steps/gone.py").symlink_to("nowhere")
    assert project / "steps/gone.py" not in look(project)
    assert look(project / "no such folder") == {}


def test_one_thing_is_done_at_each_save() -> None:
    result = CliRunner().invoke(watch, ["--test", "--run"])
    assert (result.exit_code, "leave one of the two away" in result.output) == (2, True)
