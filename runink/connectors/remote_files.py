"""Files elsewhere, through fsspec: which filesystem a URI means, and what its errors mean for people.

fsspec is imported when the first URI needs it: it takes its time, and local files need none of it.
"""

from __future__ import annotations

from typing import Any

from runink.errors import Forbidden, NotFound, Refused, RuninkError, Unavailable


def filesystem_of(uri: str) -> tuple[Any, str]:
    """Return the filesystem and the path in it. Raises Refused if no package serves that scheme."""
    import fsspec  # noqa: PLC0415 - see above

    try:
        filesystem, key = fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise Refused(
            f"{uri}: {error}",
            code="remote_scheme",
            hint="install the fsspec package of that scheme (s3fs for s3://) into the project's environment",
        ) from error
    return filesystem, key


def remote_exists(place: str, uri: str) -> bool:
    """Say whether something is there now. Raises Refused or Unavailable."""
    filesystem, key = filesystem_of(place)
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
                hint="these credentials have no right to it; for s3:// they come from the environment (AWS_PROFILE, AWS_ACCESS_KEY_ID)",
            )
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        return Forbidden(
            f"{uri}: {error}",
            code="remote_forbidden",
            hint="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    return Unavailable(
        f"{uri}: {error or type(error).__name__}",
        code="remote_failed",
        hint="is the network up, and the endpoint right (AWS_ENDPOINT_URL)?",
    )
