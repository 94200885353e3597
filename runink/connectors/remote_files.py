"""Files elsewhere, through fsspec: which filesystem a URI means, and what its errors mean for people.

fsspec is imported when the first URI needs it: it takes its time, and local files need none of it.  How a store is reached comes from `Stores`,
never from the environment: a slice has nothing of it there.
"""

from __future__ import annotations

from typing import Any, Final

from runink.dag import Format
from runink.errors import Forbidden, NotFound, Refused, RuninkError, Unavailable
from runink.stores import S3Store, Stores, is_s3

_FORMATS: Final = frozenset(one.value for one in Format)
KEYS_HINT: Final = "the node reads them when it starts: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the keys of AWS_PROFILE"


def filesystem_of(uri: str, stores: Stores) -> tuple[Any, str]:
    """Return the filesystem and the path in it. Raises Refused if no package serves that scheme."""
    scheme, _, path = uri.partition("://")
    if scheme in _FORMATS:
        text = f"{uri}: {scheme} says what a file holds, not where it is"
        raise Refused(text, code="remote_scheme", hint=f"write its path: {path}")
    import fsspec  # noqa: PLC0415 - see above

    try:
        filesystem, key = fsspec.core.url_to_fs(uri, **_options(uri, stores))
    except (ImportError, ValueError) as error:
        raise Refused(
            f"{uri}: {error}",
            code="remote_scheme",
            hint="install the fsspec package of that scheme (s3fs for s3://) into the project's environment",
        ) from error
    return filesystem, key


def _options(uri: str, stores: Stores) -> dict[str, Any]:
    """Return what the filesystem's package is told; what is not set is left to it."""
    return _s3_options(stores.s3) if is_s3(uri) else {}


def _s3_options(store: S3Store) -> dict[str, Any]:
    keys = store.keys
    client = {"region_name": store.region, "verify": store.ca_bundle}
    config = {
        "request_checksum_calculation": store.request_checksums,
        "response_checksum_validation": store.response_checksums,
        "use_dualstack_endpoint": store.dualstack,
        "use_fips_endpoint": store.fips,
    }
    options = {
        "endpoint_url": store.endpoint,
        "key": keys.id,
        "secret": keys.secret,
        "token": keys.token,
        "client_kwargs": _set(client),
        "config_kwargs": _set(config),
    }
    return _set(options)


def _set(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def remote_exists(place: str, uri: str, stores: Stores) -> bool:
    """Say whether something is there now. Raises Refused or Unavailable."""
    filesystem, key = filesystem_of(place, stores)
    try:
        filesystem.invalidate_cache()
        return bool(filesystem.exists(key))
    except Exception as error:
        raise told_remote(error, uri) from error


def told_remote(error: Exception, uri: str) -> RuninkError:
    """Return what a filesystem's package raised as an error that says what to do."""
    match error:
        case RuninkError():
            return error
        case FileNotFoundError():
            return NotFound(
                f"{uri} does not exist: {error}",
                code="remote_not_found",
                hint="does the bucket exist, and is its name right?",
            )
        case PermissionError():
            return Forbidden(
                f"{uri}: {error}",
                code="remote_forbidden",
                hint=f"these credentials have no right to it; for s3:// {KEYS_HINT}",
            )
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return Forbidden(
            f"{uri}: {error}",
            code="remote_forbidden",
            hint=f"there are none; {KEYS_HINT}",
        )
    return Unavailable(
        f"{uri}: {error or type(error).__name__}",
        code="remote_failed",
        hint="is the network up, and the endpoint right? The node reads AWS_ENDPOINT_URL when it starts",
    )
