"""The extras `runink[planner]` and `runink[solver]`: their tests (`tests/extras`) in a process that finds numpy and OR-tools.

They are installed under pytest's cache and not into the environment of all other tests, because pyarrow loads numpy, and the pandas that comes with OR-tools, in every
process that finds them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)

REQUIREMENTS = Path(__file__).with_name("requirements-solver.txt")
ROOT = Path(__file__).parents[2]
EXTRAS = ROOT / "tests/extras"
FILES = sorted({*EXTRAS.glob("*_laws.py"), *EXTRAS.glob("improving_*.py")})
WORLD = ROOT / "tests/unit/placement"


@pytest.fixture(scope="module")
def packages(request: pytest.FixtureRequest) -> Path:
    """Return the folder of what the extras bring, installed if it is not there."""
    folder = request.config.cache.mkdir(f"solver-{sys.version_info.major}.{sys.version_info.minor}")
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != REQUIREMENTS.read_text():
        uv = Path(sys.executable).with_name("uv")
        words = ["pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
        target = ["--target", folder / "packages", "--requirement", REQUIREMENTS]
        subprocess.run([uv, *words, *target], check=True)
        ready.write_text(REQUIREMENTS.read_text())
    return folder / "packages"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_of_it_holds_where_the_extras_are_installed(packages: Path, file: Path):
    path = os.pathsep.join(map(str, (packages, EXTRAS, WORLD)))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
