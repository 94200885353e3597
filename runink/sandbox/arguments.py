"""The command lines of the sandbox's processes: `--name value` pairs, all named in advance.

argparse would be a third of the time and a tenth of the memory of a process that lives by both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def options(
    words: Sequence[str], *, required: Sequence[str], optional: Mapping[str, str]
) -> dict[str, str]:
    """Return the options by name, with defaults. Raises SystemExit, saying what is wrong."""
    names, values = words[::2], words[1::2]
    found = dict(zip(names, values, strict=False))
    known = {f"--{name}" for name in (*required, *optional)}
    if len(names) != len(values) or not found.keys() <= known or len(found) != len(names):
        raise SystemExit(
            f"options are pairs of a name and a value; names: {' '.join(sorted(known))}"
        )
    missing = [name for name in required if f"--{name}" not in found]
    if missing:
        raise SystemExit(f"--{missing[0]} is missing")
    return dict(optional) | {name.removeprefix("--"): value for name, value in found.items()}
