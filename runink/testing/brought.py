"""Bundles that a test's herd has brought, as the API would have taken them in."""

from __future__ import annotations

from collections.abc import Mapping

from runink.barn.keys import BUNDLE_OWNERS
from runink.bundles import Bundle, BundleFile, hash_of
from runink.clients.bundle_store import put_bundle
from runink.clients.uploads import BundleOwner
from runink.names import HerdName
from runink.testing.served import NOW_MS, OPERATOR, Served


async def bring(cluster: Served, herd: str, files: Mapping[str, str]) -> str:
    """Have a herd own a bundle of these files, and return its hash."""
    made = [BundleFile(path, text.encode(), is_executable=False) for path, text in sorted(files.items())]  # fmt: skip
    bundle = Bundle(hash_of(made), tuple(made))
    await put_bundle(cluster.barn, bundle)
    owner = BundleOwner(HerdName(herd), bundle.hash, OPERATOR.subject, NOW_MS, "", len(made), 0)
    await cluster.barn.put(BUNDLE_OWNERS.key(herd, bundle.hash), owner)
    return bundle.hash
