"""How the sandbox's processes are started: `--name value` pairs, all named in advance, and the few names of the environment.

argparse would be a third of the time and a tenth of the memory of a process that lives by both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# What a slice inherits: how to find programs, how to read text and time, where to put scratch files. No home, no credentials.
ENVIRONMENT_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
# No variable steers our interpreters and no module of the working folder is taken for ours; packages of the user stay visible.
INTERPRETER_OPTIONS = ("-E", "-P", "-X", "utf8")
LINK = 3  # where the spawner puts the fork server's end of their socket pair, and the agent the spawner's listening socket
THREADS_OFF = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's jemalloc
    "_RJEM_MALLOC_CONF": "background_thread:false",  # polars' jemalloc
    "OPENBLAS_NUM_THREADS": "1",  # numpy starts a pool of one per core otherwise
}


def kept_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those names that every process of the sandbox has."""
    return {name: environment[name] for name in ENVIRONMENT_KEPT if name in environment}


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


def listed(value: str, *, separator: str = ",") -> list[str]:
    """Return the items of an option that holds several."""
    return [item for item in value.split(separator) if item]
