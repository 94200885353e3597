"""The sections of a herd's file: what each says, and that every slip is told where it was made."""

from __future__ import annotations

import pytest
from runink.contracts.compatibility import ContractPolicy, Mode
from runink.errors import Finding, Invalid
from runink.herds.file import LABEL_VALUE_MAX, read_herd
from runink.herds.record import AuditLevel, HerdRecord, Retention, SliceBounds, unenforced
from runink.identity.roles import Binding, Role, RoleOf, Rule
from runink.names import BindingName, RoleName
from runink.quantities import parse_duration

ROLE = '[[roles]]\nverbs = ["get"]\nresources = ["runs"]\n'
HEAD = '[herd]\nid = "crm"\n'


def herd(text: str) -> HerdRecord:
    return read_herd(HEAD + text, file="herds/crm.toml")


def mistakes(text: str) -> tuple[Finding, ...]:
    with pytest.raises(Invalid) as caught:
        herd(text)
    assert caught.value.code == "herd_invalid"
    return caught.value.findings


def test_a_file_that_names_the_herd_only_says_nothing_else() -> None:
    assert herd("") == HerdRecord("crm")
    assert unenforced(herd("")) == ()


def test_a_herd_has_labels() -> None:
    text = 'labels = { team = "reports", "cost.example/centre" = "4711" }\n'
    assert herd(text).labels == {"team": "reports", "cost.example/centre": "4711"}


def test_quotas_count_disk_and_graphics_processors() -> None:
    found = herd('[quotas]\ndisk = "10Gi"\ngpu = 2\n')
    assert (found.disk_bytes, found.gpus) == (10 << 30, 2)


def test_what_one_slice_asks_for_has_bounds() -> None:
    text = """
[quotas]
cpu = 8
[quotas.slice]
cpu_min = "50m"
cpu_max = 2
memory_min = "32Mi"
memory_max = "1Gi"
disk_max = "2Gi"
gpu_max = 1
"""
    bounds = SliceBounds(50, 2000, 32 << 20, 1 << 30, 2 << 30, 1)
    assert herd(text).bounds == bounds
    assert herd(text).cpu_m == 8000


def test_contracts_have_a_policy() -> None:
    text = """
[contracts]
compatibility = "full"
breaking_majors = true
golden = "required"
approval = 2
drift = "block"
"""
    found = herd(text)
    policy = ContractPolicy(Mode.FULL, True, True, 2, True)
    assert found.contracts == policy
    assert unenforced(found) == ()


def test_what_is_left_of_runs_is_kept_for_a_time() -> None:
    found = herd('[retention]\nruns = "30d"\nlogs = "1w"\nlineage = "52w"\n')
    day = parse_duration("1d")
    assert found.retention == Retention(30 * day, 7 * day, 0, 52 * 7 * day)
    assert unenforced(found) == ()


def test_what_nothing_enforces_yet_is_known_by_its_name() -> None:
    text = """
[[roles]]
name = "analyst"
verbs = ["get"]
resources = ["runs"]
[[bindings]]
name = "reports"
role = "analyst"
subjects = ["group:company:reports"]
[secrets]
allow = ["warehouse-*", "mail"]
[audit]
level = "changes"
"""
    found = herd(text)
    assert found.roles == (Role(RoleName("analyst"), "crm", (Rule(("get",), ("runs",)),)),)
    assert found.bindings == (
        Binding(
            BindingName("reports"),
            "crm",
            RoleName("analyst"),
            RoleOf.HERD,
            ("group:company:reports",),
        ),
    )
    assert found.secrets == ("warehouse-*", "mail")
    assert found.audit is AuditLevel.CHANGES
    assert unenforced(found) == ("[secrets]",)
    assert herd("[secrets]\nallow = []\n").secrets == ()


@pytest.mark.parametrize(
    ("text", "told", "hint", "line"),
    [
        ('labels = "x"', "labels is a table", "write [herd.labels]", 3),
        ("labels = { team = 3 }", "label team is text", 'team = "…"', 3),
        (f'labels = {{ team = "{"x" * (LABEL_VALUE_MAX + 1)}" }}', "label team is", "", 3),
        ('labels = { "a b" = "c" }', "'a b' is no name of a label", "as in team", 3),
        (f'description = "{"x" * 1001}"', "description is longer than 1,000", "", 3),
        ("[quotas]\ncpu = 1\ngpus = 2", "[quotas] has no gpus", "did you mean gpu?", 5),
        ('[quotas]\ndisk = "much"', "disk: 'much' is not a size", "512Mi", 4),
        ("[quotas]\ngpu = -1", "gpu is a number, 0 or more", "", 4),
        ("[quotas]\nslice = 3", "slice is a table", "write [quotas.slice]", 4),
        ("[quotas]\ncpu = 1\n[quotas.slice]\ncpu = 2", "[quotas.slice] has no cpu", "cpu_m", 6),
        ("[quotas.slice]\ncpu_min = 2\ncpu_max = 1", "cpu_min is more than cpu_max", "both", 4),
        (
            '[quotas]\nmemory = "1Gi"\n[quotas.slice]\nmemory_min = "2Gi"',
            "memory_min is more than the whole quota of memory",
            "could ever begin",
            6,
        ),
        ('[contracts]\ngolden = "yes"', "there is no golden yes", "optional, required", 4),
        ("[contracts]\napproval = 99", "approval is a whole number from 0 to 10", "people", 4),
        ('[contracts]\ndrift = "blok"', "there is no drift blok", "did you mean block?", 4),
        ('[retention]\nruns = "0d"', "runs is kept for some time", '"30d"', 4),
        ('[quotas]\nruns = 3\n[retention]\nruns = "x"', "runs: 'x' is not a duration", "", 6),
        ('[retention]\nruns = "99999w"', "a hundred years at most", "for ever", 4),
        ('[secrets]\nallow = "x"', "allow is a list of names", "warehouse", 4),
        ('[secrets]\nallow = ["a/b"]', "'a/b' is no name of a secret", "warehouse", 4),
        ("[network]\nallow = []\n[secrets]\nallow = [1]", "allow is a list of names", "", 6),
        ('[audit]\nlevel = "al"', "there is no level al", "did you mean all?", 4),
        (f'{ROLE}name = "a"\n{ROLE}name = "b"\n[[roles.rules]]\nverbs = ["got"]\nresources = ["runs"]', "no verb got", "get", 12),
        (f'{ROLE}name = "viewer"', "viewer is a built-in role", "my-viewer", 6),
        ('[[bindings]]\nname = "x"\nrole = "viwer"\nsubjects = ["user:a:b"]', "no role viwer", "viewer", 5),
        ('[[bindings]]\nname = "x"\nrole = "viewer"\nsubjects = ["ann"]', "ann is no subject", "user:", 6),
        ("[quota]\ncpu = 1", "a herd's file has no quota", "did you mean quotas?", 3),
    ],
)  # fmt: skip
def test_a_slip_is_told_with_its_line_and_a_hint(
    text: str, told: str, hint: str, line: int
) -> None:
    (finding,) = mistakes(text)
    assert told in finding.text
    assert hint in finding.hint
    assert finding.span is not None
    assert finding.span.line == line


def test_all_slips_are_told_at_once() -> None:
    text = "[quotas]\ngpu = -1\nslices = -2\n[audit]\nlevle = 1\n"
    assert len(mistakes(text)) == 3


def test_of_several_tables_of_a_name_a_slip_is_shown_in_its_own() -> None:
    right = '[[clearances]]\nsink = "csv://a"\npii = "*"\n'
    found = mistakes(right + right.replace("sink", "snik"))
    assert [one.span.line for one in found if one.span is not None] == [7, 6]
