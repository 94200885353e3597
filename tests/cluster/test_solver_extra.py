"""The extra `runink[solver]`: its tests (`improving_placement.py`) in a process that finds OR-tools.

It is installed under pytest's cache and not into the environment of all other tests, because pandas comes with it, which pyarrow loads in every process that finds it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(600)

REQUIREMENTS = Path(__file__).with_name("requirements-solver.txt")
TESTS = Path(__file__).with_name("improving_placement.py")
WORLD = Path(__file__).parents[1] / "unit/placement"


@pytest.fixture(scope="module")
def solver(request: pytest.FixtureRequest) -> Path:
    """Return the folder of what the extra brings, installed if it is not there."""
    folder = request.config.cache.mkdir(f"solver-{sys.version_info.major}.{sys.version_info.minor}")
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != REQUIREMENTS.read_text():
        uv = Path(sys.executable).with_name("uv")
        words = ["pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
        target = ["--target", folder / "packages", "--requirement", REQUIREMENTS]
        subprocess.run([uv, *words, *target], check=True)
        ready.write_text(REQUIREMENTS.read_text())
    return folder / "packages"


def test_the_solver_s_own_tests_pass_where_it_is_installed(solver: Path):
    path = os.pathsep.join([str(solver), str(WORLD)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
        cwd=TESTS.parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
