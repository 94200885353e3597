"""What is done once, before slices are forked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

FIRST_BATCH: Final = """
import os, sys
import runink.actors.slice
import pyarrow as pa

modules, threads, descriptors = set(sys.modules), os.listdir("/proc/self/task"), os.listdir("/proc/self/fd")
assert pa.record_batch({"n": [1], "text": ["x"], "none": [None]}).num_rows == 1
print(sorted(set(sys.modules) - modules), len(threads), len(descriptors))
"""
IMPORT_ALONE: Final = """
import os, sys
import pyarrow
print([], len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")))
"""


def test_the_first_batch_of_a_slice_imports_nothing_and_its_fork_server_has_no_more_threads_and_descriptors_for_it() -> (
    None
):
    assert printed(FIRST_BATCH) == printed(IMPORT_ALONE)


def test_what_was_imported_for_it_is_known_by_name() -> None:
    names = printed("from runink.steps.primed import SPARE\nprint(*sorted(SPARE))").split()
    assert {"dateutil", "dateutil.relativedelta", "six"} <= set(names)
    assert not [name for name in names if name.startswith(("pyarrow", "pandas", "numpy"))]


def test_pandas_is_found_behind_it_as_before(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").touch()
    code = f"import runink.steps.primed, sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport pandas\nprint(pandas.__file__)"
    assert printed(code).strip() == str(tmp_path / "pandas.py")


def printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout
