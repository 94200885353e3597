"""On a kernel without Landlock a slice leaves no link in a folder that it may write, either: whoever opens a path there next, as the next run's agent does, is not led elsewhere."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from runi_project import Project, Said
from runink.sandbox import privileges
from runink.sandbox.syscalls import NUMBERS
from seal_children import answering, put_on

STEPS = """
import os

@step(each="batch")
def lead(batch):
    os.symlink("/root", "out/by symlink")
    return batch

@step(each="batch")
def lead_by_descriptor(batch):
    folder = os.open("out", os.O_RDONLY)
    os.symlink("/root", "by symlinkat", dir_fd=folder)
    return batch
"""


def without_landlock() -> None:
    """Have the kernel say that it has none, to this process and all that it starts."""
    privileges.forbid_new_privileges()  # without which nobody but root puts a filter on
    put_on(answering(NUMBERS["landlock_create_ruleset"], errno.ENOSYS))


@pytest.fixture
def leading(project: Project) -> Callable[..., Said]:
    project.write("data/x.csv", "a\n1\n")
    project.step(STEPS)

    def run(name: str, *words: str, **options: object) -> Said:
        project.pipeline(f'@source("csv://data/x.csv")\n@step("{name}")\n@sink("csv://out/y.csv")')
        return project.run("features/p.dsl", *words, **options)

    return run


@pytest.mark.parametrize("name", ["lead", "lead_by_descriptor"])
def test_a_slice_leaves_no_link_though_there_is_no_landlock(
    project: Project, leading: Callable[..., Said], name: str
):
    refused = leading(name, preexec_fn=without_landlock)
    sealed = project.runi("slice", "get", "last", "one", "-o", "json").document["sealed"]
    assert (sealed["landlock"], sealed["seccomp"]) == ("off", "on")
    assert "PermissionError" in refused.error["text"], refused
    assert not [path for path in (project.root / "out").iterdir() if path.is_symlink()]


@pytest.mark.parametrize("name", ["lead", "lead_by_descriptor"])
def test_a_plain_process_leaves_one(project: Project, leading: Callable[..., Said], name: str):
    assert leading(name, "--no-isolation").code == 0
    assert [path for path in (project.root / "out").iterdir() if path.is_symlink()]
