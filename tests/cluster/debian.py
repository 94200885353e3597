"""Packages of the distribution that a test needs and the project does not."""

from __future__ import annotations

import subprocess

INSTALL_S = 110


def install(package: str) -> None:
    """Have the package, from the archive that the machine is set up for if it is not there yet."""
    status = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    if status.stdout == "installed":
        return
    words = ["apt-get", "install", "--yes", "--quiet", "--quiet", "--no-install-recommends"]
    done = subprocess.run(
        [*words, package], capture_output=True, text=True, check=False, timeout=INSTALL_S
    )
    assert not done.returncode, f"run `apt-get update`, or see what it says: {done.stderr}"
