"""Packages that a project brings along, with the real uv and packages of the real index."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from package_world import (
    StallingIndex,
    has_hung_up,
    locked,
    maker,
    refusing_index,
    wheel,
)
from runi_project import Project
from runink.environments.collecting import Policy, collect
from runink.environments.lock import parsed_lock
from runink.environments.packages import installed
from runink.environments.store import Environments, Listener
from runink.errors import TimedOut

STEP = """
import idna, six
@step(each="record")
def work(row):
    print("six of", six.__file__)
    return {"six": six.__version__, "name": idna.encode("bücher.de").decode()}
"""
LOCK = "requirements.lock"
ENVIRONMENTS = ".runink/environments"


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    return locked("six==1.16.0", "idna==3.10", folder=tmp_path_factory.mktemp("lock"))


@pytest.fixture
def packed(project: Project, lock: str) -> Project:
    """A project whose step needs two packages that its lock names."""
    project.write("data/in.csv", "a\n1\n")
    project.step(STEP)
    project.pipeline('@source("csv://data/in.csv")\n@step("work")\n@sink("jsonl://out/o.jsonl")')
    project.write(LOCK, lock)
    return project


@pytest.fixture
def stalling() -> Iterator[StallingIndex]:
    index = StallingIndex()
    yield index
    index.close()


def environments(root: Path) -> list[Path]:
    found = root.iterdir() if root.is_dir() else ()
    return sorted(path for path in found if len(path.name) == 64)


def log_of(project: Project, run: str) -> list[str]:
    return [row["text"] for row in project.runi("logs", run, "-o", "json").document]


def test_a_step_imports_the_packages_of_its_lock(packed: Project):
    first = packed.run()
    assert first.code == 0, first
    assert packed.rows("out/o.jsonl") == [{"six": "1.16.0", "name": "xn--bcher-kva.de"}]
    (environment,) = environments(packed.root / ENVIRONMENTS)
    said = log_of(packed, first.document["run"])
    assert any(line.startswith("six of") and str(environment) in line for line in said)
    assert " + six==1.16.0" in said
    second = packed.run()
    assert second.code == 0, second
    assert " + six==1.16.0" not in log_of(packed, second.document["run"])  # it was there


def test_a_run_says_that_it_waits_for_its_packages(packed: Project):
    said = packed.runi("run", "features/p.dsl")
    assert said.code == 0, said
    assert "waits: the packages of requirements.lock (2) are being installed" in said.err


def test_an_environment_is_read_only_and_compiled(packed: Project):
    assert packed.run().code == 0
    (environment,) = environments(packed.root / ENVIRONMENTS)
    writable = [
        path
        for path in (environment, *environment.rglob("*"))
        if not path.is_symlink() and path.stat().st_mode & 0o222
    ]
    assert writable == []
    compiled = list(environment.rglob("six.*.pyc"))
    assert len(compiled) == 1
    assert str(environment).encode() in compiled[0].read_bytes()  # and not where it was made
    six = next(environment.rglob("site-packages/six.py"))
    assert six.stat().st_nlink > 1  # the cache has the same file


def test_a_program_of_the_project_has_the_packages_too(packed: Project):
    packed.write("bin/tell.py", "import six, sys\nprint('six'); print(six.__version__)\n")
    packed.pipeline(
        '@source("csv://data/in.csv")\n@step(run="python3 bin/tell.py", format=csv)\n'
        '@sink("jsonl://out/o.jsonl")'
    )
    said = packed.run()
    assert said.code == 0, said
    assert packed.rows("out/o.jsonl") == [{"six": "1.16.0"}]


def test_a_step_cannot_change_its_environment(packed: Project):
    packed.step(
        "import os, six\n"
        '@step(each="record")\n'
        "def work(row):\n"
        "    try:\n"
        '        open(six.__file__, "a")\n'
        "    except OSError as error:\n"
        '        return {"file": error.strerror, "folder": os.access(os.path.dirname(six.__file__), os.W_OK)}\n'
    )
    said = packed.run()
    assert said.code == 0, said
    (row,) = packed.rows("out/o.jsonl")
    assert row["file"] in {"Read-only file system", "Permission denied"}
    assert row["folder"] is False


def test_a_pipeline_without_code_of_the_project_installs_nothing(packed: Project):
    packed.pipeline('@source("csv://data/in.csv")\n@sink("jsonl://out/o.jsonl")')
    assert packed.run().code == 0
    assert not (packed.root / ENVIRONMENTS).exists()


def test_a_file_that_is_not_the_one_that_was_locked_is_refused(packed: Project):
    text = packed.read(LOCK)
    line = text[: text.index("six==")].count("\n") + 1
    head, six = text.split("six==")
    packed.write(LOCK, f"{head}six=={re.sub('sha256:[0-9a-f]{8}', 'sha256:00000000', six)}")
    said = packed.run()
    assert said.code == 1, said
    assert said.error["code"] == "package_hash_mismatch"
    assert f"requirements.lock, line {line}: six 1.16.0" in said.error["text"]
    assert any("Hash mismatch" in text for text in log_of(packed, said.document["run"]))
    assert environments(packed.root / ENVIRONMENTS) == []
    assert list((packed.root / ENVIRONMENTS / "making").iterdir()) == []


def test_a_version_that_there_is_not_is_told(packed: Project):
    packed.write(LOCK, packed.read(LOCK).replace("six==1.16.0", "six==99.1"))
    said = packed.run()
    assert said.error["code"] == "package_missing"
    assert "six 99.1 is not in the package index" in said.error["text"]


def test_a_package_that_is_only_there_as_source_is_refused(packed: Project):
    hashes = "49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491"
    packed.write(LOCK, f"docopt==0.6.2 --hash=sha256:{hashes}\n")
    said = packed.run()
    assert said.error["code"] == "package_needs_build"
    assert "requirements.lock, line 1: docopt 0.6.2" in said.error["text"]
    assert "runs its code with the rights of the node" in said.error["hint"]


def test_a_lock_that_is_none_is_told_before_anything_runs(packed: Project):
    packed.write(LOCK, "six>=1\n--index-url http://elsewhere\n")
    said = packed.run()
    assert said.code == 8
    assert said.error["code"] == "lock_invalid"
    explained = packed.runi("explain", "features/p.dsl")
    assert "--> requirements.lock:1:1" in explained.err
    assert "--> requirements.lock:2:1" in explained.err


def test_a_version_that_differs_from_the_loaded_one_is_refused_before_it_is_fetched(
    packed: Project,
):
    packed.write(LOCK, f"pyarrow==1.0 --hash=sha256:{'0' * 64}\n")
    said = packed.run()
    assert said.error["code"] == "packages_conflict"
    assert "pyarrow is pinned to 1.0, and slices on this node have" in said.error["text"]
    assert not (packed.root / ENVIRONMENTS).exists()


def test_an_incomplete_lock_shows_in_the_step_that_misses_a_package(packed: Project):
    packed.step('import nowhere_at_all\n@step(each="record")\ndef work(row):\n    return row\n')
    said = packed.run()
    assert said.error["code"] == "step_import_failed"
    assert "to requirements.lock" in said.error["hint"]


def test_a_run_is_cancelled_while_its_packages_are_installed(
    packed: Project, stalling: StallingIndex
):
    packed.environment |= stalling.variables
    with packed.popen("run", "features/p.dsl") as run:
        visitor = stalling.visitor()
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
        assert has_hung_up(visitor)
    assert run.returncode == 130
    assert environments(packed.root / ENVIRONMENTS) == []
    assert packed.processes() == []


def test_what_dies_in_the_middle_leaves_nothing_that_is_taken_for_whole(
    tmp_path: Path, lock: str, stalling: StallingIndex
):
    file, root = tmp_path / LOCK, tmp_path / "environments"
    file.write_text(lock)
    with maker(root, file, **stalling.variables) as dying:
        visitor = stalling.visitor()
        dying.kill()
        dying.communicate(timeout=60)
    assert has_hung_up(visitor)  # uv does not outlive who wanted the environment
    assert environments(root) == []
    (left,) = (root / "making").iterdir()
    with maker(root, file) as next_one:
        out, _ = next_one.communicate(timeout=60)
    assert "ready" in out
    assert len(environments(root)) == 1
    collect(root, Policy())
    assert not left.exists()
    assert len(environments(root)) == 1


def test_two_that_need_the_same_make_it_once(tmp_path: Path, lock: str):
    file, root = tmp_path / LOCK, tmp_path / "environments"
    file.write_text(lock)
    makers = [maker(root, file) for _ in range(3)]
    said = [one.communicate(timeout=60)[0] for one in makers]
    assert [one.returncode for one in makers] == [0, 0, 0]
    assert sum(" + six==1.16.0" in out for out in said) == 1
    assert len({out.splitlines()[-1] for out in said}) == 1
    assert len(environments(root)) == 1


def test_an_environment_in_use_is_not_collected_even_if_its_user_is_killed_later(
    tmp_path: Path, lock: str
):
    file, root = tmp_path / LOCK, tmp_path / "environments"
    file.write_text(lock)
    with maker(root, file, "stay") as user:
        assert user.stdout is not None
        while not user.stdout.readline().startswith("ready"):
            assert user.poll() is None
        assert collect(root, Policy(unused_s=0)) == []
        user.kill()
    assert collect(root, Policy(unused_s=0)) == [parsed_lock(lock).key]
    assert environments(root) == []


def test_a_slice_holds_its_environment_for_as_long_as_it_runs(packed: Project):
    packed.pipeline('@source("csv://-")\n@step("work")\n@sink("jsonl://out/o.jsonl")')
    root = packed.root / ENVIRONMENTS
    with packed.popen("run", "features/p.dsl", stdin=subprocess.PIPE) as run:
        assert run.stderr is not None
        while b"running" not in run.stderr.readline():
            assert run.poll() is None
        assert collect(root, Policy(unused_s=0)) == []
        run.communicate(b"a\n1\n", timeout=60)
    assert run.returncode == 0
    assert len(collect(root, Policy(unused_s=0))) == 1


def test_a_cluster_that_stays_up_holds_no_environment_once_its_slices_have_ended(packed: Project):
    root = packed.root / ENVIRONMENTS
    with packed.up():
        said = packed.run()
        assert said.code == 0, said
        assert len(collect(root, Policy(unused_s=0))) == 1
        again = packed.run()
        assert again.code == 0, again


def test_cleaning_removes_environments_that_no_kept_run_needs(packed: Project):
    assert packed.run().code == 0
    (environment,) = environments(packed.root / ENVIRONMENTS)
    os.utime(environment, (0, 0))
    assert packed.runi("clean").code == 0
    assert environment.exists()
    assert packed.runi("clean", "--keep", "0").code == 0
    (bundle,) = (packed.root / ".runink/bundles").iterdir()
    assert not environment.exists()
    assert bundle.exists()


@pytest.mark.anyio
async def test_a_folder_may_be_named_from_where_we_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    line = wheel(tmp_path / "wheels", "plain", {"plain.py": ""})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    listener = Listener(lambda _: None, lambda _: None)
    use = await Environments(Path("environments")).ready(parsed_lock(line), listener)
    use.close()
    assert use.folder == tmp_path / "environments" / parsed_lock(line).key


@pytest.mark.anyio
async def test_a_making_that_takes_too_long_is_ended(
    tmp_path: Path, lock: str, stalling: StallingIndex, monkeypatch: pytest.MonkeyPatch
):
    for name, value in stalling.variables.items():
        monkeypatch.setenv(name, value)
    listener = Listener(lambda _: None, lambda _: None)
    with pytest.raises(TimedOut) as caught:
        await Environments(tmp_path / "environments").ready(parsed_lock(lock), listener, within=3.0)
    assert caught.value.code == "environment_timed_out"
    assert has_hung_up(stalling.visitor())
    assert list((tmp_path / "environments/making").iterdir()) == []


def test_a_full_disk_is_told(packed: Project):
    root = packed.root / ENVIRONMENTS
    root.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", str(root)], check=True)
    try:
        said = packed.run()
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)
    assert said.error["code"] == "environment_disk_full"


def test_an_index_that_refuses_us_is_told_without_its_password(packed: Project):
    with refusing_index() as variables:
        packed.environment |= variables
        said = packed.run()
    assert said.error["code"] == "packages_unreachable"
    everything = said.out + said.err + json.dumps(log_of(packed, said.document["run"]))
    assert "geheim99" not in everything
    written = [path for path in (packed.root / ".runink").rglob("*") if path.is_file()]
    assert not any(b"geheim99" in path.read_bytes() for path in written)


def test_no_code_of_a_package_runs_outside_a_slice(packed: Project):
    mark = packed.root / "mark"
    hook = (
        "import os, sys; sys.hooked = open('/proc/self/comm').read(); "
        f"os.access({str(packed.root)!r}, os.W_OK) and open({str(mark)!r}, 'a').write(sys.hooked)\n"
    )
    files = {
        "hooked.py": "import sys\nby = sys.hooked\n",
        "hooked.pth": hook,
        "hooked-1.0.data/data/runink-environment.json": '{"packages": []}',
    }
    packed.write(LOCK, wheel(packed.root / "data/wheels", "hooked", files))
    packed.step(
        'import hooked\n@step(each="record")\ndef work(row):\n    return {"by": hooked.by}\n'
    )
    packed.environment |= {
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(packed.root / "data/wheels"),
    }
    said = packed.run()
    assert said.code == 0, said
    assert packed.rows("out/o.jsonl") == [{"by": "runi-slice\n"}]
    # Slices that may write there do; whoever else ran it would have.
    assert set(mark.read_text().split() if mark.exists() else ()) <= {"runi-slice"}
    (environment,) = environments(packed.root / ENVIRONMENTS)
    manifest = json.loads((environment / "runink-environment.json").read_text())
    assert manifest["packages"] == [{"name": "hooked", "version": "1.0", "modules": ["hooked"]}]


def test_a_package_that_brings_an_interpreter_is_refused(packed: Project):
    files = {"taker.py": "", "taker-1.0.data/data/bin/python": "#!/bin/sh\n"}
    packed.write(LOCK, wheel(packed.root / "data/wheels", "taker", files))
    packed.environment |= {
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(packed.root / "data/wheels"),
    }
    said = packed.run()
    assert said.error["code"] == "package_unusable"
    assert "requirements.lock, line 1: taker 1.0 cannot be installed" in said.error["text"]


def test_what_is_installed_is_what_the_lock_names(packed: Project):
    assert packed.run().code == 0
    (environment,) = environments(packed.root / ENVIRONMENTS)
    folders = [str(path) for path in environment.glob("lib/python*/site-packages")]
    assert installed(folders) == {"six": "1.16.0", "idna": "3.10"}
