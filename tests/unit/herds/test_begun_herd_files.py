"""The file that `runi herd init` writes: it says nothing but the name, and all that it shows as comments may stand there."""

from __future__ import annotations

import re
from importlib.resources import files

from runink.herds.file import HERD_KEYS, SECTIONS, read_herd
from runink.herds.quotas import KEYS, SLICE_KEYS
from runink.herds.record import HerdRecord
from runink.names import HerdName

TEXT = (files("runink.cli") / "templates" / "herd" / "NAME.toml.txt").read_text().replace("{{name}}", "crm")  # fmt: skip
COMMENTED = re.compile(r"^# (?=\[\[|[a-z_]+ = )", re.MULTILINE)


def test_as_it_is_it_says_the_name_only() -> None:
    assert read_herd(TEXT, file="herds/crm.toml") == HerdRecord(HerdName("crm"))


def test_every_line_that_it_shows_may_stand_there_and_nothing_that_may_is_left_out() -> None:
    whole = COMMENTED.sub("", TEXT)
    found = read_herd(whole, file="herds/crm.toml")
    unset = {"declared", "deletion", "apart"}
    said = {name for name in HerdRecord.__struct_fields__ if name not in unset}
    fresh = HerdRecord(HerdName("crm"))
    same = {name for name in said if getattr(found, name) == getattr(fresh, name)}
    assert same <= {"herd", "weight", "keep_failed_ms"}, "these are shown as they are anyway"
    lines = whole.splitlines()
    for key in (*HERD_KEYS, *KEYS[:-1], *SLICE_KEYS):
        assert any(line.startswith(f"{key} = ") for line in lines), key
    for section in SECTIONS:
        assert any(line in (f"[{section}]", f"[[{section}]]") for line in lines), section
