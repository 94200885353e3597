"""What of a project's folder goes into a bundle, and how it is unpacked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runink import bundles
from runink.bundles import pack, unpack
from runink.config import NodeSettings
from runink.dag import Resources
from runink.errors import Invalid
from runink.node import make_folders


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "steps").mkdir(parents=True)
    (root / "steps/s.py").write_text("x = 1\n")
    (root / "data.csv").write_text("a\n1\n")
    return root


def names(root: Path) -> list[str]:
    return [file.path for file in pack(root).files]


def test_code_is_packed_and_data_is_not(project: Path):
    (project / "run.sh").write_text("true\n")
    (project / "tool").write_text("#!/bin/sh\n")
    (project / "tool").chmod(0o755)
    assert names(project) == ["run.sh", "steps/s.py", "tool"]


def test_what_belongs_to_machines_is_left_out(project: Path):
    for folder in (".git", "__pycache__", "node_modules", "environment"):
        (project / folder).mkdir()
        (project / folder / "x.py").touch()
    (project / "environment/pyvenv.cfg").touch()
    assert names(project) == ["steps/s.py"]


@pytest.mark.parametrize("state", ["agents/a", "."])
def test_a_nodes_state_folder_in_the_project_is_no_code_of_it_whatever_its_name(
    project: Path, state: str
):
    before = pack(project)
    settings = NodeSettings(state=project / state, capacity=Resources(1000, 1 << 30))
    make_folders(settings)
    unpack(before, settings.state / "bundles")
    scratch = settings.state / "runs/01M8NA8ENFMBA3W7HDM7R22VTF/scratch"
    scratch.mkdir(parents=True)
    (scratch / "left.py").touch()
    assert pack(project) == before


def test_folders_that_are_named_as_a_nodes_are_code_where_no_node_keeps_anything(project: Path):
    for name in ("bundles", "runs"):
        (project / name).mkdir()
        (project / name / "x.py").touch()
    assert names(project) == ["bundles/x.py", "runs/x.py", "steps/s.py"]


def test_a_link_to_a_file_is_packed_and_one_that_leads_nowhere_is_not(project: Path):
    (project / "linked.py").symlink_to("steps/s.py")
    (project / "loop.py").symlink_to("loop.py")
    (project / "lost.py").symlink_to("nowhere.py")
    assert names(project) == ["linked.py", "steps/s.py"]


def test_the_hash_is_of_the_names_and_contents(project: Path):
    first = pack(project).hash
    (project / "data.csv").write_text("a\n2\n")
    assert pack(project).hash == first
    (project / "steps/s.py").write_text("x = 2\n")
    assert pack(project).hash != first


def test_a_bundle_is_unpacked_once_and_read_only(project: Path, tmp_path: Path):
    bundle = pack(project)
    target = unpack(bundle, tmp_path / "bundles")
    assert unpack(bundle, tmp_path / "bundles") == target
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == [bundle.hash]
    assert (target / "steps/s.py").stat().st_mode & 0o777 == 0o444


def test_a_folder_that_is_no_project_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bundles, "FILES_MAX", 1)
    (project / "more.py").touch()
    with pytest.raises(Invalid) as caught:
        pack(project)
    assert caught.value.code == "bundle_too_large"


def test_a_bundle_that_a_power_cut_has_emptied_is_unpacked_anew(project: Path, tmp_path: Path):
    target = unpack(pack(project), tmp_path / "bundles")
    (target / "steps/s.py").chmod(0o644)
    (target / "steps/s.py").write_text("")
    assert unpack(pack(project), tmp_path / "bundles") == target
    assert (target / "steps/s.py").read_text() == "x = 1\n"
    (target / "steps/s.py").unlink()
    unpack(pack(project), tmp_path / "bundles")
    assert (target / "steps/s.py").read_text() == "x = 1\n"


def test_a_file_that_is_too_large_is_refused_before_it_is_read(project: Path):
    with (project / "dump.sql").open("wb") as file:
        file.truncate(1 << 40)  # a hole: reading it would take all memory
    with pytest.raises(Invalid, match="more code than a bundle may"):
        pack(project)


def test_a_name_that_is_no_utf8_is_packed(project: Path, tmp_path: Path):
    Path(os.fsdecode(os.fsencode(project) + b"/caf\xe9.py")).write_text("y = 2\n")
    target = unpack(pack(project), tmp_path / "bundles")
    assert os.fsencode(next(target.glob("caf*"))).endswith(b"/caf\xe9.py")
