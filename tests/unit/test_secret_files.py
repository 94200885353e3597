"""The file with the members' secret: what is wrong with it is said, and never what it holds."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from runink.errors import Refused
from runink.trust.connecting import read_secret


def test_a_secret_that_is_given_in_place_of_its_file_is_not_shown() -> None:
    secret = secrets.token_hex(32)
    with pytest.raises(Refused, match="the file with the secret cannot be read") as caught:
        read_secret(Path(secret))
    assert secret not in f"{caught.value.text}{caught.value.hint}"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"{tmp_path}/none cannot be read"):
        read_secret(tmp_path / "none")


@pytest.mark.parametrize(
    ("mode", "held", "said"), [(0o644, 64, "by others"), (0o600, 3, "3 bytes")]
)
def test_a_file_that_others_may_read_or_that_holds_too_little_is_refused(
    tmp_path: Path, mode: int, held: int, said: str
) -> None:
    path = tmp_path / "secret"
    path.write_text("x" * held)
    path.chmod(mode)
    with pytest.raises(Refused, match=said):
        read_secret(path)
