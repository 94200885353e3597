"""How a version gets into the Barn: read what is there at one revision, decide, and write if nothing has changed since."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runink.barn.keyvalue import key_prefix
from runink.cli.git import working_copy
from runink.cli.turns import in_turns
from runink.clients.barn import Transaction, decode_value
from runink.clients.cluster import Cluster
from runink.clock import now_ms
from runink.contracts.versions import is_version
from runink.governance.registry import Origin, Publication


def origin_of(root: Path, file: str) -> Origin:
    """Return where a version comes from, as far as can be known here: git is asked, who and when is the machine's word."""
    copy = working_copy(root)
    return Origin(file, _who(), now_ms(), copy.commit, copy.is_dirty)


def _who() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user without an entry, as in some containers
        return str(os.getuid())


async def publish(
    cluster: Cluster,
    key: str,
    value: Any,
    decide: Callable[[list[Any]], Publication],
) -> Publication:
    """Write a version under its key, if `decide` says so of all versions beside it. Raises what `decide` raises, Conflict where others do not let us."""
    prefix = key.rpartition("/")[0] + "/"

    async def turn() -> Publication | None:
        pages = await cluster.barn.read(key_prefix(prefix))
        known = [
            decode_value(item, type(value)).value
            for item in pages.pages[0].items
            if is_published(item.key)
        ]
        publication = decide(known)
        if not publication.is_new:
            return publication
        transaction = Transaction().if_absent(key).if_unchanged(prefix, pages.revision)
        committed = await cluster.barn.commit(transaction.put(key, value))
        return publication if committed.succeeded else None

    return await in_turns(prefix, turn)


def is_published(key: str) -> bool:
    """Say whether a key ends in a version; pipelines that runs brought along stand under their hash."""
    return is_version(key.rpartition("/")[2])
