"""What uv says becomes an error with the lock's line. Its words are those of uv 0.13, as printed."""

from __future__ import annotations

import pytest
from runink.environments import worker
from runink.environments.diagnosing import Mask, diagnosed
from runink.environments.lock import parsed_lock
from runink.errors import Invalid, RuninkError, Unavailable

HASH = f"--hash=sha256:{'0' * 64}"
LOCK = parsed_lock(f"idna==3.20 {HASH}\nsix==1.17.0 {HASH}\n")
NOT_FOUND = "  cause: Because {0} and you require six==1.17.0, we can conclude that your requirements are unsatisfiable."


def told(*lines: str, code: int = worker.EXIT_INSTALL) -> RuninkError:
    return diagnosed(LOCK, code, ["Using Python 3.11.2 environment at: /x", *lines])


def line_of(error: RuninkError) -> int:
    assert isinstance(error, Invalid)
    (found,) = error.findings
    assert found.span is not None
    return found.span.line


def test_a_hash_that_differs():
    error = told(
        "error: Failed to download `six==1.17.0`",
        "  cause: Hash mismatch for `six==1.17.0`",
        "         Expected:",
        "           sha256:0721",
        "         Computed:",
        "           sha256:4721",
    )
    assert error.code == "package_hash_mismatch"
    assert "requirements.lock, line 2: six 1.17.0 is not the file that was locked" in error.text
    assert "sha256:4721" in error.text
    assert line_of(error) == 2


@pytest.mark.parametrize(
    "reason",
    ["there is no version of six==1.17.0", "six was not found in the package registry"],
)
def test_a_package_that_the_index_does_not_have(reason: str):
    error = told("error: No solution found when resolving dependencies", NOT_FOUND.format(reason))
    assert error.code == "package_missing"
    assert line_of(error) == 2


def test_a_package_that_would_have_to_be_built():
    error = told(
        "error: No solution found when resolving dependencies",
        NOT_FOUND.format("six==1.17.0 has no usable wheels"),
        "hint: Wheels are required for `six` because building from source is disabled for all packages",
    )
    assert error.code == "package_needs_build"
    assert line_of(error) == 2
    assert "runs its code with the rights of the node" in error.hint


def test_two_versions_of_one():
    error = told(
        "error: No solution found when resolving dependencies",
        "  cause: Because you require six==1.16.0 and six==1.17.0, we can conclude that your requirements are unsatisfiable.",
    )
    assert error.code == "packages_unsatisfiable"


@pytest.mark.parametrize(
    "lines",
    [
        (
            "error: Failed to fetch: https://index.example/simple/idna/",
            "  cause: error sending request for url (https://index.example/simple/idna/)",
            "  cause: Connection refused (os error 111)",
        ),
        (
            NOT_FOUND.format("six was not found in the cache"),
            "hint: Packages were unavailable because the network was disabled.",
        ),
    ],
)
def test_a_network_that_is_not_there_may_be_there_later(lines: tuple[str, ...]):
    error = told(*lines)
    assert isinstance(error, Unavailable)
    assert error.code == "packages_unreachable"


def test_a_network_error_tells_its_first_line_and_its_last_cause():
    error = told("error: Failed to fetch: x", "  cause: client error", "  cause: refused")
    assert error.text == "packages cannot be fetched: Failed to fetch: x: refused"


def test_a_full_disk_is_told_as_such_whatever_failed_for_it():
    line = "  cause: failed to write to file `/x`: No space left on device (os error 28)"
    assert told("error: Failed to fetch: y", line).code == "environment_disk_full"
    assert told("error: No space left", code=worker.EXIT_DISK_FULL).code == "environment_disk_full"


def test_a_file_that_is_broken():
    error = told("error: Failed to install: six.whl (six==1.17.0)", "  cause: no RECORD")
    assert error.code == "package_unusable"
    assert error.text.endswith(
        "cannot be installed: Failed to install: six.whl (six==1.17.0): no RECORD"
    )
    assert line_of(error) == 2


def test_packages_that_are_too_large():
    error = told("error: the packages take 9 MiB, at most 8 MiB may be", code=worker.EXIT_TOO_LARGE)
    assert error.code == "environment_too_large"
    assert "the packages take 9 MiB" in error.text


def test_what_is_not_known_keeps_uvs_lines():
    error = told("error: the sky has fallen")
    assert isinstance(error, Unavailable)
    assert error.code == "environment_not_made"
    assert "the sky has fallen" in error.text
    assert diagnosed(LOCK, -9, []).code == "environment_not_made"


def test_secrets_are_masked_wherever_they_stand():
    mask = Mask(
        {
            "UV_INDEX_PRIVATE_PASSWORD": "hunter22",
            "UV_DEFAULT_INDEX": "https://me:t0ps3cret@index/simple",
            "UV_HTTP_TIMEOUT": "30",
        }
    )
    assert mask.masked("get https://a:b@host/x") == "get https://***@host/x"
    assert (
        mask.masked("password hunter22 and t0ps3cret, after 30") == "password *** and ***, after 30"
    )
