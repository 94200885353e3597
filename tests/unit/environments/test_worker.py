"""The parts of the process that makes an environment: what is in it, how large it is, and that nobody writes to it."""

from __future__ import annotations

import os
from pathlib import Path

from runink.environments.worker import described, make_read_only, size_bytes


def test_packages_are_told_with_their_top_modules(tmp_path: Path):
    info = tmp_path / "PyYAML-6.0.2.dist-info"
    info.mkdir()
    (info / "RECORD").write_text(
        "yaml/__init__.py,sha256=x,1\n"
        "_yaml/__init__.py,sha256=x,1\n"
        "six.py,,\n"
        "_cffi_backend.cpython-311-x86_64-linux-gnu.so,,\n"
        "__pycache__/six.cpython-311.pyc,,\n"
        "PyYAML-6.0.2.dist-info/RECORD,,\n"
        "../../../bin/yaml,,\n"
        '"quoted,name/x.py",,\n'
        "hook.pth,,\n"
    )
    (tmp_path / "yaml").mkdir()
    assert described(tmp_path) == [
        {"name": "PyYAML", "version": "6.0.2", "modules": ["_cffi_backend", "_yaml", "six", "yaml"]}
    ]


def test_a_file_of_two_names_counts_once(tmp_path: Path):
    (tmp_path / "one").write_bytes(b"x" * 100)
    os.link(tmp_path / "one", tmp_path / "two")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert size_bytes(tmp_path) == 100


def test_nothing_below_may_be_written_and_programs_stay_programs(tmp_path: Path):
    outside = tmp_path / "outside"
    outside.touch(mode=0o644)
    environment = tmp_path / "environment"
    (environment / "lib").mkdir(parents=True)
    (environment / "lib/module.py").touch(mode=0o644)
    (environment / "tool").touch(mode=0o755)
    (environment / "link").symlink_to(outside)
    make_read_only(environment)
    modes = {
        path: (environment / path).stat().st_mode & 0o777
        for path in ("lib", "lib/module.py", "tool")
    }
    assert modes == {"lib": 0o555, "lib/module.py": 0o444, "tool": 0o555}
    assert outside.stat().st_mode & 0o777 == 0o644
    assert environment.stat().st_mode & 0o200
