"""The root key's file: the key above all others of a cluster, on its servers alone and in no Barn.

    runink-root-key VERSION KEY CHECK

a line for each version, the key as 64 hexadecimal digits, and behind it the check value by which a digit that is wrong is found.  The highest version seals; older ones open what they have sealed.

Only who founds a cluster makes one (`make_root_key`).  A server that finds none says so: a new key would open nothing of what there is.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from runink.errors import Refused
from runink.private_files import create_private, make_private_folder, read_private
from runink.secrets.seal import KEY_BYTES, RootKey, derived

ROOT_KEY: Final = "root.key"  # in a state folder
SIGNING_ROOT: Final = (
    "signing.key"  # in that of a node which signs tokens: what is derived for it, in the same form
)
SIGNING: Final = "signing-key"  # what a key is derived for, and the kind of what it seals
CODE: Final = "root_key"
VERSIONS_MAX: Final = 16  # of one file: old ones go when nothing is sealed with them any more
_LINE: Final = re.compile(r"runink-root-key ([1-9]\d{0,8}) ([0-9a-f]{64}) ([0-9a-f]{16})", re.ASCII)


def make_root_key(path: Path) -> RootKey:
    """Make a first root key, unless there is one, and return the one that seals. Raises Refused (`root_key`), OSError."""
    make_private_folder(path.parent)
    create_private(path, line_of(RootKey(1, os.urandom(KEY_BYTES))))
    return read_root_keys(path)[-1]


def read_root_keys(path: Path) -> tuple[RootKey, ...]:
    """Return the root keys, the one that seals last. Raises Refused (`root_key`) if there are none, others may read them or they are damaged, OSError."""
    try:
        content = read_private(path, code=CODE, harm="opens all that the cluster has sealed")
    except FileNotFoundError as error:
        raise Refused(
            f"there is no root key at {path}",
            code=CODE,
            hint="copy it from another server of this cluster, or from where it was kept: nothing that the cluster has sealed opens without it",
        ) from error
    text = content.decode(errors="replace")
    keys = tuple(sorted((_parsed(path, line) for line in text.splitlines()), key=_version))
    versions = [key.version for key in keys]
    if not 1 <= len(keys) <= VERSIONS_MAX or len(set(versions)) != len(versions):
        raise _damaged(path, f"holds {len(keys)} keys, and each of another version")
    return keys


def read_signing_roots(path: Path) -> tuple[RootKey, ...]:
    """Return what seals the keys that sign tokens: derived from the root keys of a file, the one that seals last. Raises as `read_root_keys`."""
    return signing_roots(read_root_keys(path))


def signing_roots(keys: Iterable[RootKey]) -> tuple[RootKey, ...]:
    """Return what root keys are for keys that sign tokens: whoever signs has these, and opens nothing else with them."""
    return tuple(derived(one, SIGNING) for one in keys)


def line_of(key: RootKey) -> bytes:
    """Return a key as it stands in the file."""
    return f"runink-root-key {key.version} {key.data.hex()} {key.check}\n".encode()


def _version(key: RootKey) -> int:
    return key.version


def _parsed(path: Path, line: str) -> RootKey:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise _damaged(path, "holds something else than root keys")
    key = RootKey(int(match[1]), bytes.fromhex(match[2]))
    if not hmac.compare_digest(key.check, match[3]):
        raise _damaged(path, f"is damaged: version {key.version} has another check value")
    return key


def _damaged(path: Path, what: str) -> Refused:
    return Refused(f"{path} {what}", code=CODE, hint="put the file back from where it was kept")
