"""Our documents of ODCS under the eyes of the tool that most people read them with: `datacontract lint`, as a process of its own.

It is installed into an environment under pytest's cache, because its fifty packages are none of ours: some seconds from a warm cache of uv, half a minute otherwise,
once for a checkout.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind
from runink.contracts.odcs import written_document
from runink.contracts.yaml_text import write_yaml

pytestmark = pytest.mark.timeout(600)

REQUIREMENTS = Path(__file__).with_name("requirements-datacontract.txt")
EXAMPLES = Path(__file__).parents[2] / "examples"
PLACE = FieldSpec("at", Kind.RECORD, fields=(FieldSpec("lat", Kind.FLOAT, ge=-90.0),))
EVERYTHING = ContractSpec(
    "Everything",
    "1.2.3",
    (
        FieldSpec("id", Kind.INT, ge=1, lt=100, multiple_of=7, unique=True),
        FieldSpec(
            "mail",
            Kind.STR,
            format="email",
            nullable=True,
            pii="email",
            access=("a", "b"),
            mask="redact",
        ),
        FieldSpec(
            "code",
            Kind.STR,
            pattern="[A-Z]{2}|x",
            min_length=1,
            max_length=2,
            tags={"owner": "ann", "x": ""},
        ),
        FieldSpec("color", Kind.STR, choices=("red", "green"), has_default=True, default="red"),
        FieldSpec("price", Kind.DECIMAL, digits=5, scale=2, gt="0.10", unit="dollars"),
        FieldSpec("day", Kind.DATE, ge="2013-01-01", lineage="the till"),
        FieldSpec("when", Kind.DATETIME, nullable=True, has_default=True),
        FieldSpec("clock", Kind.TIME, coercion=Coercion.STRICT),
        FieldSpec("raw", Kind.BYTES, max_length=2),
        FieldSpec("share", Kind.FLOAT, allow_inf_nan=True),
        PLACE,
        FieldSpec(
            "stops", Kind.LIST, items=msgspec.structs.replace(PLACE, name="item"), min_length=1
        ),
    ),
    ("id",),
    "All that a contract can say.",
    coercion=Coercion.LENIENT,
    tags={"team": "us"},
)


@pytest.fixture(scope="module")
def datacontract(request: pytest.FixtureRequest) -> Path:
    """Return the tool's command, installed if it is not there."""
    folder = request.config.cache.mkdir(
        f"datacontract-{sys.version_info.major}.{sys.version_info.minor}"
    )
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != REQUIREMENTS.read_text():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder / "venv"],
            check=True,
        )
        subprocess.run(
            [
                uv,
                "pip",
                "install",
                "--quiet",
                "--python",
                folder / "venv/bin/python",
                "--requirement",
                REQUIREMENTS,
            ],
            check=True,
        )
        ready.write_text(REQUIREMENTS.read_text())
    return folder / "venv/bin/datacontract"


def lint(command: Path, file: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [command, "lint", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=file.parent,
    )


def test_a_document_with_all_that_a_contract_can_say_is_valid(datacontract: Path, tmp_path: Path):
    file = tmp_path / "everything.odcs.yaml"
    file.write_text(write_yaml(written_document(EVERYTHING)))
    done = lint(datacontract, file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid against ODCS v3.1.0" in done.stdout


def test_what_the_command_line_exports_is_valid_too(datacontract: Path, tmp_path: Path):
    file = tmp_path / "flights.odcs.yaml"
    reference = f"{EXAMPLES}/flights/contracts/flights.py:Flight"
    words = ["contract", "export", reference, "--format", "odcs", "--into", str(file)]
    subprocess.run([sys.executable, "-m", "runink.cli.main", *words], check=True)
    done = lint(datacontract, file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tool_does_look(datacontract: Path, tmp_path: Path):
    """A document that it took whatever stood in it would prove nothing."""
    file = tmp_path / "wrong.odcs.yaml"
    document = written_document(EVERYTHING)
    document["schema"][0]["properties"][0]["logicalType"] = "whole number"
    file.write_text(write_yaml(document))
    assert lint(datacontract, file).returncode != 0
