"""Bundles in the Barn: how a project's code comes from who submits a run to the machines that run it.

    /bundles/HASH/head     how many parts there are, and how large the whole is
    /bundles/HASH/00000…   the parts: the files as MessagePack, compressed, cut into pieces

Parts are put first and the head last, so what has a head is whole.  A bundle is named by the hash of what is in it, which whoever fetches one computes anew; nothing is taken
on trust but that the name was asked for.  `runi clean` takes away what no run needs.
"""

from __future__ import annotations

import zlib
from pathlib import PurePosixPath
from typing import Final

import msgspec

from runink.barn.keys import BUNDLES
from runink.barn.keyvalue import key_prefix
from runink.bundles import BYTES_MAX, FILES_MAX, Bundle, BundleFile, hash_of
from runink.clients.barn import BarnClient, decode_value
from runink.clock import now_ms
from runink.errors import Broken, Invalid, NotFound
from runink.names import BundleHash

PART_BYTES: Final = 512 << 10  # half of what a value of the Barn may have
PACKED_BYTES_MAX: Final = 16 << 20  # code compresses to a fifth; each member keeps it
HEAD: Final = "head"
_OVERHEAD: Final = 1 << 20  # names and lengths of FILES_MAX files
_decoder: Final = msgspec.msgpack.Decoder(list[BundleFile])


class Head(msgspec.Struct, frozen=True):
    """How many parts a bundle has, their bytes, and when it was put, in milliseconds of the Unix epoch by the clock of whoever put it."""

    parts: int
    size_bytes: int
    put_ms: int = 0


async def put_bundle(barn: BarnClient, bundle: Bundle, packed: bytes = b"") -> None:
    """Put a bundle into the Barn, unless it is there. `packed` is what `packed_bundle` has returned, where that was done elsewhere. Raises Invalid (`bundle_too_large`), Unavailable."""
    head_key = BUNDLES.key(bundle.hash, HEAD)
    if await barn.get(head_key, Head) is not None:
        return
    packed = packed or packed_bundle(bundle)
    parts = [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]
    for number, part in enumerate(parts):
        await barn.put(BUNDLES.key(bundle.hash, f"{number:05}"), part)
    await barn.put(head_key, Head(len(parts), len(packed), now_ms()))


def packed_bundle(bundle: Bundle) -> bytes:
    """Return a bundle as the Barn holds it, which takes a second for the largest. Raises Invalid (`bundle_too_large`)."""
    packed = zlib.compress(msgspec.msgpack.encode(bundle.files))
    if len(packed) > PACKED_BYTES_MAX:
        raise Invalid(
            f"the project's code is {len(packed) >> 20} MiB when it is packed, and a cluster takes {PACKED_BYTES_MAX >> 20}",
            code="bundle_too_large",
            hint="keep data, libraries and built programs elsewhere: libraries in requirements.lock, programs on the machines",
        )
    return packed


async def fetch_bundle(barn: BarnClient, name: BundleHash) -> Bundle:
    """Return a bundle. Raises NotFound (`no_bundle`), Broken (`bundle_damaged`) for one that is not what its name says, Unavailable."""
    pages = await barn.read(key_prefix(BUNDLES.prefix(name)))
    items = {item.key.rpartition("/")[2]: item for item in pages.pages[0].items}
    head = items.pop(HEAD, None)
    if head is None:
        raise NotFound(
            f"the cluster has no bundle {name}",
            code="no_bundle",
            hint="submit the run again: its project's code was cleaned away",
        )
    packed = b"".join(items[key].value for key in sorted(items))
    if len(packed) != decode_value(head, Head).value.size_bytes:
        raise _damaged(name, "parts of it are missing")
    return _unpacked(name, packed)


async def stored_bundles(barn: BarnClient, *, before_ms: int) -> set[str]:
    """Return the bundles in the Barn that were put before a moment."""
    listing = await barn.range(BUNDLES.prefix(), bytes)
    found = set()
    for one in listing.items:
        name, _, part = one.key.removeprefix(BUNDLES.prefix()).partition("/")
        if part == HEAD and msgspec.json.decode(one.value, type=Head).put_ms < before_ms:
            found.add(name)
    return found


def _unpacked(name: BundleHash, packed: bytes) -> Bundle:
    try:
        engine = zlib.decompressobj()
        content = engine.decompress(packed, BYTES_MAX + _OVERHEAD)
        if engine.unconsumed_tail or not engine.eof:
            raise _damaged(name, "it is larger than a bundle may be")
        files = _decoder.decode(content)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise _damaged(name, str(error)) from error
    if len(files) > FILES_MAX or not all(_stays_inside(file.path) for file in files):
        raise _damaged(name, "its files do not all belong into one folder")
    if hash_of(files) != name:
        raise _damaged(name, "its content has another hash")
    return Bundle(name, tuple(files))


def _stays_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts and "\0" not in path


def _damaged(name: BundleHash, why: str) -> Broken:
    return Broken(f"bundle {name} is damaged: {why}", code="bundle_damaged")
