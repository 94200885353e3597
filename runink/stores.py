"""How object stores are reached: read once by the agent, handed to slices in their documents.

    setting                              in the environment                              in a profile
    endpoint                             AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL           endpoint_url
    region                               AWS_DEFAULT_REGION, AWS_REGION                  region
    keys                                 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,       aws_access_key_id, aws_secret_access_key,
                                         AWS_SESSION_TOKEN                               aws_session_token
    ca_bundle                            AWS_CA_BUNDLE                                   ca_bundle
    request_checksums                    AWS_REQUEST_CHECKSUM_CALCULATION                request_checksum_calculation
    response_checksums                   AWS_RESPONSE_CHECKSUM_VALIDATION                response_checksum_validation
    dualstack                            AWS_USE_DUALSTACK_ENDPOINT                      use_dualstack_endpoint
    fips                                 AWS_USE_FIPS_ENDPOINT                           use_fips_endpoint

The environment comes before the profile, the file of credentials before that of settings.  The three parts of the keys come from one place: half of
one pair and half of another open nothing.  A profile is AWS_PROFILE (or AWS_DEFAULT_PROFILE, or `default`) in AWS_SHARED_CREDENTIALS_FILE
(~/.aws/credentials) and AWS_CONFIG_FILE (~/.aws/config).  Roles, single sign-on and programs that hand out keys are not followed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

FILE_BYTES_MAX: Final = 1 << 20  # hand-written files
MASK: Final = "***"

_log = logging.getLogger(__name__)


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What opens a store. No `repr` shows any of it."""

    id: str = ""
    secret: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Keys({MASK})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("all", MASK)]


class S3Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How S3, or what speaks as it does, is reached; empty is what its library does by itself. `ca_bundle` is a file of the node."""

    endpoint: str = ""
    region: str = ""
    keys: Keys = Keys()
    ca_bundle: str = ""
    request_checksums: str = ""
    response_checksums: str = ""
    dualstack: bool = False
    fips: bool = False


class Stores(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every kind of store that a node has settings for."""

    s3: S3Store = S3Store()

    @property
    def endpoints(self) -> dict[str, str]:
        """Where schemes lead, if not where their libraries have them lead."""
        return {"s3": self.s3.endpoint} if self.s3.endpoint else {}

    def needed_for(self, places: Iterable[str]) -> Stores:
        """Return the settings of those stores that some of these places are in."""
        return Stores(self.s3) if any(map(is_s3, places)) else NO_STORES

    def files(self) -> list[str]:
        """Return the node's files that they name."""
        return [self.s3.ca_bundle] if self.s3.ca_bundle else []


NO_STORES: Final = Stores()


def is_s3(place: str) -> bool:
    return place.startswith(("s3://", "s3a://"))


def read_stores(environment: Mapping[str, str]) -> Stores:
    """Return what the environment says, and the profile that it names. A file that cannot be read says nothing, and a log line says so."""
    named = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
    profile = named or "default"
    credentials = environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    settings = environment.get("AWS_CONFIG_FILE") or "~/.aws/config"
    in_settings = profile if profile == "default" else f"profile {profile}"
    return stores_of(environment, (_section(credentials, profile), _section(settings, in_settings)))


def stores_of(environment: Mapping[str, str], profiles: Iterable[Mapping[str, str]]) -> Stores:
    """Return what these say, the first that says a thing."""
    profiles = tuple(profiles)

    def said(names: tuple[str, ...], key: str) -> str:
        found = (environment.get(name, "") for name in names)
        told = next(filter(None, (*found, *(profile.get(key, "") for profile in profiles))), "")
        return told.strip()

    def holds(name: str, key: str) -> bool:
        return said((name,), key).lower() == "true"

    return Stores(
        S3Store(
            endpoint=said(("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "endpoint_url"),
            region=said(("AWS_DEFAULT_REGION", "AWS_REGION"), "region"),
            keys=_keys(environment, profiles),
            ca_bundle=_absolute(said(("AWS_CA_BUNDLE",), "ca_bundle")),
            request_checksums=said(
                ("AWS_REQUEST_CHECKSUM_CALCULATION",), "request_checksum_calculation"
            ).lower(),
            response_checksums=said(
                ("AWS_RESPONSE_CHECKSUM_VALIDATION",), "response_checksum_validation"
            ).lower(),
            dualstack=holds("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
            fips=holds("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
        )
    )


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


def _keys(environment: Mapping[str, str], profiles: Iterable[Mapping[str, str]]) -> Keys:
    """Return the keys of the first place that has an id."""
    for place, names in (
        (environment, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")),
        *(
            (one, ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"))
            for one in profiles
        ),
    ):
        found = Keys(*(place.get(name, "").strip() for name in names))
        if found.id:
            return found
    return Keys()


def _section(name: str, section: str) -> Mapping[str, str]:
    """Return a section of an INI file, empty where there is none. No error shows what stands in the file."""
    import configparser  # noqa: PLC0415 - where settings are read, and in no slice

    path = Path(name)
    try:
        path = path.expanduser()
        with path.open(encoding="utf-8") as file:
            parser = configparser.RawConfigParser(default_section="", strict=False)
            parser.read_string(file.read(FILE_BYTES_MAX))
    except FileNotFoundError:
        return {}
    except (OSError, RuntimeError, UnicodeDecodeError, configparser.Error) as error:
        _log.warning(
            "object store settings unreadable",
            extra={"file": str(path), "error": type(error).__name__},
        )
        return {}
    return dict(parser[section]) if parser.has_section(section) else {}
