"""Projects on disk: where they begin, what their files hold, what is wrong with them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from runink.capabilities import IsolationPolicy
from runink.clearances import ClearancePolicy
from runink.dsl.diagnostics import rendered
from runink.errors import Invalid, NotFound, RuninkError
from runink.herds.record import HerdRecord
from runink.identity.roles import Role, Rule
from runink.names import HerdName, RoleName
from runink.networks import policy_of
from runink.projects import Compiled, compile_file, find_root
from runink.textfiles import FILE_BYTES_MAX

FLIGHTS = Path(__file__).parents[3] / "examples" / "flights"
PLAIN = 'Feature: F\nScenario: S\n@source("csv://a.csv")\n@sink("csv://b.csv")\n'


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root / next(name for name in files if name.endswith(".dsl"))


def compile_files(root: Path, files: dict[str, str | bytes], **parameters: str) -> Compiled:
    return compile_file(write(root, files), parameters=parameters)


def failure(root: Path, content: str | bytes, **more: str) -> Invalid:
    with pytest.raises(Invalid) as caught:
        compile_files(root, {"features/x.dsl": content, **more})
    return caught.value


# Where a project begins.


@pytest.mark.parametrize("folder", ["contracts", "steps", "features", "herds"])
def test_a_project_begins_where_its_folders_are(tmp_path: Path, folder: str) -> None:
    (tmp_path / "p" / folder).mkdir(parents=True)
    assert find_root(tmp_path / "p" / "deep" / "er" / "x.dsl") == tmp_path / "p"


def test_a_mark_goes_before_folders(tmp_path: Path) -> None:
    (tmp_path / "p" / "features" / "steps").mkdir(parents=True)
    (tmp_path / "p" / "runink.toml").touch()
    assert find_root(tmp_path / "p" / "features" / "x.dsl") == tmp_path / "p"


def test_a_lone_file_is_a_project(tmp_path: Path) -> None:
    compiled = compile_files(tmp_path / "lone", {"x.dsl": PLAIN})
    assert compiled.root == tmp_path / "lone"
    assert compiled.dag.file == "x.dsl"
    assert compiled.dag.pipeline == "x"


def test_the_dag_does_not_depend_on_where_the_project_lies_or_how_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = compile_files(tmp_path / "a", {"features/x.dsl": PLAIN})
    two = compile_files(tmp_path / "b" / "c", {"features/x.dsl": PLAIN})
    monkeypatch.chdir(tmp_path / "a")
    three = compile_file(Path("features/x.dsl"), parameters={})
    assert one.dag.hash == two.dag.hash == three.dag.hash


# The example.


def test_the_flights_example_compiles() -> None:
    compiled = compile_file(FLIGHTS / "features" / "flights.dsl", parameters={})
    dag = compiled.dag
    assert [one.id for one in dag.scenarios] == ["bronze", "silver", "gold"]
    assert [spec.id for spec in dag.slices] == ["bronze", "silver", "gold"]
    assert dag.gang_needs() == {
        "bronze": frozenset(),
        "silver": {"bronze"},
        "gold": {"silver"},
    }
    assert compiled.root == FLIGHTS
    assert compiled.herd == HerdRecord(
        HerdName("analytics"),
        "operations",
        "Reports on punctuality",
        4000,
        4 << 30,
        50,
        10,
        clearances=ClearancePolicy("hash"),
        roles=(
            Role(
                RoleName("analyst"),
                "analytics",
                (Rule(("get", "list", "watch"), ("runs", "lineage", "contracts", "pipelines")),),
            ),
        ),
    )
    assert compiled.notes == ()


def test_the_golden_rows_of_the_example_add_up_to_the_flights_that_took_place() -> None:
    lines = (FLIGHTS / "golden" / "delays.csv").read_text().splitlines()[1:]
    assert len(lines) == 185
    assert sum(int(line.split(",")[2]) for line in lines) == 328_521


def test_compiling_loads_no_data_library() -> None:
    """An engine takes longer to import than all the rest of a compilation."""
    script = (
        "import json, sys; from pathlib import Path; from runink.projects import compile_file\n"
        f"compile_file(Path({str(FLIGHTS / 'features' / 'flights.dsl')!r}), parameters={{}})\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(output.stdout)}
    assert not loaded & {"pyarrow", "polars", "duckdb", "numpy", "anyio", "fsspec", "rich"}


# Herds.


def test_a_herds_file_says_what_its_network_reaches(tmp_path: Path) -> None:
    head = f'@herd("open")\n{PLAIN}'
    text = '[herd]\nid = "open"\n[network]\ninternet = false\nallow = ["10.1.2.3:5432", "10.9.0.0/16"]\n'
    compiled = compile_files(tmp_path, {"features/x.dsl": head, "herds/open.toml": text})
    assert compiled.herd.network == policy_of(
        internet=False, allow=["10.1.2.3:5432", "10.9.0.0/16"]
    )
    assert compiled.notes == ()


@pytest.mark.parametrize(
    ("table", "count"),
    [
        ("internet = 1", 1),
        ('allow = "10.0.0.1"', 1),
        ("allow = [1]", 1),
        ('allow = ["example.org", "10.0.0.1:0", "10.0.0.1"]', 2),
        ('deny = ["10.0.0.1"]', 1),
        (f"allow = {[f'10.0.{n >> 8}.{n & 255}' for n in range(257)]}", 1),
    ],
)
def test_every_mistake_in_a_herds_network_is_told(tmp_path: Path, table: str, count: int) -> None:
    text = f'[herd]\nid = "open"\n[network]\n{table}\n'
    with pytest.raises(Invalid) as caught:
        compile_files(
            tmp_path, {"features/x.dsl": f'@herd("open")\n{PLAIN}', "herds/open.toml": text}
        )
    assert [one.code for one in caught.value.findings] == ["H001"] * count


def test_a_herds_file_says_what_its_slices_may_do_without_and_what_not(tmp_path: Path) -> None:
    text = '[herd]\nid = "open"\n[isolation]\nallow_missing = ["seccomp"]\nrequire = ["landlock", "landlock"]\n'
    compiled = compile_files(
        tmp_path, {"features/x.dsl": f'@herd("open")\n{PLAIN}', "herds/open.toml": text}
    )
    assert compiled.herd.isolation == IsolationPolicy(("seccomp",), ("landlock",))


@pytest.mark.parametrize(
    ("table", "told", "hint"),
    [
        ('allow_missing = "seccomp"', "allow_missing is a list of names", "landlock"),
        ('require = ["landlok"]', "nothing closes slices off by the name of landlok", "landlock?"),
        ('require = ["network.egress"]', "nothing closes slices off", "there are namespaces"),
        ('require = ["seccomp"]\nallow_missing = ["seccomp"]', "and is required", "leave one"),
        ("allowed = []", "[isolation] has no allowed", "allow_missing"),
    ],
)
def test_a_mistake_in_a_herds_isolation_is_told(
    tmp_path: Path, table: str, told: str, hint: str
) -> None:
    text = f'[herd]\nid = "open"\n[isolation]\n{table}\n'
    error = failure(tmp_path, f'@herd("open")\n{PLAIN}', **{"herds/open.toml": text})
    (finding,) = error.findings
    assert told in finding.text
    assert hint in finding.hint
    assert finding.span is not None


def test_a_herd_without_a_file_has_no_limits_and_a_note_says_so(tmp_path: Path) -> None:
    compiled = compile_files(tmp_path, {"features/x.dsl": f'@herd("open")\n{PLAIN}'})
    assert compiled.herd == HerdRecord(HerdName("open"))
    assert compiled.notes == (
        "herd open has no file herds/open.toml: this project sets it no limits",
    )


def test_a_herds_file_that_names_another_is_wrong(tmp_path: Path) -> None:
    error = failure(tmp_path, f'@herd("a")\n{PLAIN}', **{"herds/a.toml": '[herd]\nid = "b"\n'})
    assert error.findings[0].text == "the file of herd a says b"
    assert error.findings[0].span is not None
    assert error.findings[0].span.line == 2


def test_mistakes_of_pipeline_contract_step_and_herd_are_told_together(tmp_path: Path) -> None:
    error = failure(
        tmp_path,
        '@herd("a")\nFeature: F\nScenario: S\n@source("csv://a.csv", nuls="")\n'
        '@contract("contracts/c.py:C")\n@contract("contracts/c.py:D")\n'
        '@step("f")\n@sink("csv://b.csv")\n',
        **{
            "herds/a.toml": '[herd]\nid = "a"\n[quotas]\ncpus = 1\nmemory = "1Q"\n',
            "contracts/c.py": "from runink import Contract\nclass C(Contract, version='1'):\n    a: set\n",
            "steps/s.py": "from runink import step\n@step\ndef f(rows): ...\n",
        },
    )
    codes = [finding.code for finding in error.findings]
    assert {"D011", "D040", "D052", "H001"} <= set(codes)
    assert codes.count("H001") == 2
    assert rendered(error.findings)


def test_a_contracts_file_that_does_not_import_is_told_once(tmp_path: Path) -> None:
    error = failure(
        tmp_path,
        'Feature: F\nScenario: S\n@source("csv://a.csv")\n@contract("contracts/c.py:C")\n'
        '@contract("contracts/c.py:D")\n@sink("csv://b.csv")\n',
        **{"contracts/c.py": "1 / 0\n"},
    )
    assert [finding.code for finding in error.findings] == ["D040"]


# Files that are none.


def test_a_missing_file_is_told_with_one_that_is_near(tmp_path: Path) -> None:
    write(tmp_path, {"flights.dsl": PLAIN})
    with pytest.raises(NotFound) as caught:
        compile_file(tmp_path / "flihgts.dsl", parameters={})
    assert caught.value.hint == "did you mean flights.dsl?"
    with pytest.raises(NotFound) as caught:
        compile_file(tmp_path / "no" / "x.dsl", parameters={})
    assert "there is no folder" in caught.value.hint


def test_a_folder_is_told_with_a_file_in_it(tmp_path: Path) -> None:
    write(tmp_path, {"f/x.dsl": PLAIN})
    with pytest.raises(Invalid) as caught:
        compile_file(tmp_path / "f", parameters={})
    assert "is a folder" in caught.value.text
    assert caught.value.hint.endswith("x.dsl")


def test_what_is_not_utf8_is_told_at_its_byte(tmp_path: Path) -> None:
    error = failure(tmp_path, "# é\nFeature: caf".encode() + b"\xe9\n")
    finding = error.findings[0]
    assert (finding.code, finding.text) == ("D005", "byte 0xe9 is not UTF-8")
    assert finding.span is not None
    assert (finding.span.line, finding.span.column) == (2, len("Feature: caf") + 1)
    assert rendered(error.findings)


def test_utf16_is_told(tmp_path: Path) -> None:
    assert failure(tmp_path, PLAIN.encode("utf-16")).findings[0].code == "D005"


def test_a_file_of_ten_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.dsl"
    with path.open("wb") as file:
        file.truncate(10 * FILE_BYTES_MAX)
    with pytest.raises(Invalid) as caught:
        compile_file(path, parameters={})
    assert "larger than" in caught.value.text


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "loop.dsl"
    path.symlink_to(path)
    with pytest.raises(RuninkError) as caught:
        compile_file(path, parameters={})
    assert "cannot be read" in caught.value.text


def test_a_steps_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    root = tmp_path
    (root / "steps").mkdir()
    (root / "steps" / "s.py").write_bytes(b"\xff\xfe")
    error = failure(root, PLAIN.replace("@sink", '@step("f")\n@sink'))
    assert [finding.code for finding in error.findings] == ["D050", "D053"]


def test_a_place_within_the_project_is_written_relative_to_it(tmp_path: Path) -> None:
    error = failure(tmp_path, PLAIN.replace("csv://a.csv", f"csv://{tmp_path}/in/a.csv"))
    assert [finding.code for finding in error.findings] == ["D031"]
    assert error.findings[0].hint.endswith("csv://in/a.csv")
    outside = PLAIN.replace("csv://a.csv", f"csv://{tmp_path}-other/a.csv")
    assert compile_files(tmp_path, {"features/y.dsl": outside}).dag.nodes
