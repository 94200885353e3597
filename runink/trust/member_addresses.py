"""Where the other members listened when a member joined: how it finds them until it has the Barn, which knows better."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from runink.config import TRUST_FOLDER, Address, ServerSettings
from runink.errors import Refused
from runink.private_files import create_private

FILE: Final = "members.json"  # in the trust folder


def keep_addresses(state: Path, members: dict[str, str]) -> None:
    """Keep where members listen, by number. Raises OSError."""
    create_private(state / TRUST_FOLDER / FILE, msgspec.json.encode(members))


def known_addresses(settings: ServerSettings) -> dict[int, Address]:
    """Return where members listen: as the settings say, else as it was when we joined. Raises Refused (`bad_members`) for a file that is damaged, Invalid, OSError."""
    path = settings.state / TRUST_FOLDER / FILE
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=dict[int, str])
    except FileNotFoundError:
        return settings.addresses
    except msgspec.MsgspecError as error:
        text = f"{path} is damaged: {error}"
        raise Refused(text, code="bad_members", hint="say with --address where they listen") from error  # fmt: skip
    found = {number: Address.parse(place) for number, place in kept.items()}
    return found | settings.addresses
