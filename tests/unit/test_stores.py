"""Where the settings of object stores come from: the environment, then the profile that it names."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from runink.stores import NO_STORES, Keys, S3Store, Stores, read_stores, stores_of

PROFILES = (
    {"aws_access_key_id": "P", "aws_secret_access_key": "ps", "aws_session_token": "pt"},
    {
        "aws_access_key_id": "C",
        "region": "eu-north-1",
        "endpoint_url": "http://p",
        "output": "json",
    },
)


def test_an_environment_and_a_profile_that_say_nothing_give_nothing() -> None:
    assert stores_of({}, ()) == stores_of({"AWS_REGION": "", "HOME": "/x"}, ({},)) == NO_STORES
    assert NO_STORES.endpoints == {}
    assert NO_STORES.files() == []


def test_the_environment_says_all_of_it() -> None:
    said = {
        "AWS_ENDPOINT_URL": "http://a",
        "AWS_ENDPOINT_URL_S3": "http://b",
        "AWS_REGION": "x",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "E ",
        "AWS_SECRET_ACCESS_KEY": "es",
        "AWS_SESSION_TOKEN": "et",
        "AWS_CA_BUNDLE": "/etc/own.pem",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "WHEN_REQUIRED",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "AWS_USE_DUALSTACK_ENDPOINT": "True",
        "AWS_USE_FIPS_ENDPOINT": "false",
    }
    keys = Keys("E", "es", "et")
    expected = S3Store(
        "http://b", "eu-west-1", keys, "/etc/own.pem", "when_required", "when_required", True, False
    )
    stores = stores_of(said, PROFILES)
    assert stores.s3 == expected
    assert stores.endpoints == {"s3": "http://b"}
    assert stores.files() == ["/etc/own.pem"]


def test_what_the_environment_does_not_say_the_profile_does() -> None:
    stores = stores_of({"AWS_REGION": "us-east-1"}, PROFILES)
    assert stores.s3 == S3Store("http://p", "us-east-1", Keys("P", "ps", "pt"))


def test_keys_are_never_put_together_of_two_places() -> None:
    assert stores_of({"AWS_ACCESS_KEY_ID": "E"}, PROFILES).s3.keys == Keys("E")
    assert stores_of({"AWS_SECRET_ACCESS_KEY": "e"}, PROFILES).s3.keys == Keys("P", "ps", "pt")


def test_a_file_of_certificates_is_named_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert stores_of({"AWS_CA_BUNDLE": "own.pem"}, ()).files() == [f"{tmp_path}/own.pem"]


def test_only_what_leads_to_a_store_gets_its_settings() -> None:
    stores = Stores(S3Store(keys=Keys("E", "es")))
    assert stores.needed_for(["data/x.csv", "s3://b/k"]) == stores
    assert stores.needed_for(["s3a://b/k"]) == stores
    for places in ([], ["data/s3://x"], ["gs://b/k", "https://x/s3"]):
        assert stores.needed_for(places) == NO_STORES


def profile_files(folder: Path, credentials: str | bytes, settings: str = "") -> dict[str, str]:
    (folder / "credentials").write_bytes(
        credentials.encode() if isinstance(credentials, str) else credentials
    )
    (folder / "config").write_text(settings)
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_CONFIG_FILE": str(folder / "config"),
    }


FILE = "[default]\naws_access_key_id = D\naws_secret_access_key = d%s\n[ann]\naws_access_key_id=A\naws_secret_access_key=a\n"
SETTINGS = "[default]\nregion = eu-north-1\n[profile ann]\nregion = eu-west-2\ns3 =\n  addressing_style = path\n[ann]\nregion = no\n"


def test_a_profile_is_a_section_of_both_files(tmp_path: Path) -> None:
    environment = profile_files(tmp_path, FILE, SETTINGS)
    assert read_stores(environment).s3 == S3Store("", "eu-north-1", Keys("D", "d%s"))
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        found = read_stores({**environment, name: "ann"}).s3
        assert found == S3Store("", "eu-west-2", Keys("A", "a"))
    assert read_stores({**environment, "AWS_PROFILE": "nobody"}) == NO_STORES


def test_files_that_are_not_there_say_nothing(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    assert read_stores({"AWS_SHARED_CREDENTIALS_FILE": gone, "AWS_CONFIG_FILE": gone}) == NO_STORES


@pytest.mark.parametrize(
    "text", ["aws_secret_access_key = S3CR3T\n", "[default]\nS3CR3T\n", b"[default]\nS3CR3T = \xff"]
)
def test_a_file_that_cannot_be_read_is_told_without_what_stands_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | bytes
) -> None:
    environment = profile_files(tmp_path, text)
    with caplog.at_level(logging.WARNING, "runink.stores"):
        assert read_stores({**environment, "AWS_REGION": "x"}) == Stores(S3Store(region="x"))
    [line] = caplog.records
    assert line.message == "object store settings unreadable"
    assert line.__dict__["file"] == f"{tmp_path}/credentials"
    assert "S3CR3T" not in str(line.__dict__)
