"""Rows of operations on bundles. An upload is its sender's alone: who has begun none is told so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from access_row import Row
from runink.barn.keys import BUNDLE_OWNERS
from runink.clients.uploads import BundleOwner
from runink.names import BundleHash, HerdName
from runink.testing.served import NOW_MS, Served

HASH = BundleHash("ab" * 32)
UPLOAD = "cd" * 16
OWN_ONLY = "an upload is its sender's alone"


async def brought(world: Served, herd: str) -> Mapping[str, Any]:
    """Have the herd own a bundle."""
    owner = BundleOwner(HerdName(herd), HASH, "operator:root", NOW_MS, HASH, 1, 1)
    await world.barn.put(BUNDLE_OWNERS.key(herd, HASH), owner)
    return {}


BUNDLE_ROWS: dict[str, Row] = {
    "bundles.list": Row(prepare=brought, shows=HASH),
    "bundles.get": Row({"bundle": HASH}, prepare=brought),
    "bundles.delete": Row({"bundle": HASH}, prepare=brought),
    "bundles.uploads.begin": Row({"sha256": "0" * 64, "size_bytes": 1}, nameless=OWN_ONLY),
    "bundles.uploads.get": Row({"upload": UPLOAD}, told="no_such_upload"),
    "bundles.uploads.put-part": Row(
        {"upload": UPLOAD, "number": "0"}, content=b"x", told="no_such_upload"
    ),
    "bundles.uploads.finish": Row({"upload": UPLOAD}, told="no_such_upload"),
    "bundles.uploads.delete": Row({"upload": UPLOAD}, told="no_such_upload"),
}
