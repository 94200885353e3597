"""What bubblewrap is asked for, word by word, and what its end is read as."""

from __future__ import annotations

import signal

import pytest
from runink.sandbox.bubblewrap import Call, Masks, status_of, version_of, words
from runink.sandbox.inner_protocol import Fork

NO_MASKS = Masks([], [])
SYSTEM = ["/usr", "/etc", "/dev"]


def fork(*targets: str, writable: tuple[str, ...] = (), folder: str = "/p") -> Fork:
    return Fork(
        cell=1,
        isolated=True,
        doors=0,
        born_in=False,
        targets=[*SYSTEM, *targets],
        kinds="d" * (len(SYSTEM) + len(targets)),
        writable=[*writable],
        links=[["bin", "usr/bin"]],
        folder=folder,
        scratch_bytes=1,
        waits=False,
        herd=1,
    )


def called(*, has_network: bool = False, filter_at: int | None = 9) -> Call:
    return Call({"LANG": "C"}, has_network=has_network, filter_at=filter_at, inside=["python", "-m", "x"])  # fmt: skip


def binds(found: list[str]) -> list[tuple[str, str, str]]:
    """Return what is shown where, in order."""
    kinds = {"--bind", "--ro-bind", "--dev-bind"}
    return [(word, found[at + 1], found[at + 2]) for at, word in enumerate(found) if word in kinds]


def test_the_whole_call_of_a_slice_that_reads_one_folder_and_writes_another():
    found = words(fork("/p/in", "/p/out", writable=("/p/out",)), NO_MASKS, called())
    assert " ".join(found) == (
        "bwrap --unshare-all --unshare-user --unshare-cgroup --die-with-parent --new-session --as-pid-1"
        " --uid 1000 --gid 1000 --hostname slice --cap-drop ALL --clearenv --setenv LANG C"
        " --symlink usr/bin /bin --proc /proc"
        " --dev-bind /shown/2 /dev --bind /scratch/shm /dev/shm --ro-bind /shown/1 /etc"
        " --ro-bind /shown/3 /p/in --bind /shown/4 /p/out --bind /scratch/tmp /tmp --ro-bind /shown/0 /usr"
        " --dir /p --remount-ro / --chdir /p --seccomp 9 -- python -m x"
    )


def test_a_network_is_shared_only_where_it_was_asked_for():
    assert "--share-net" not in words(fork(), NO_MASKS, called())
    assert "--share-net" in words(fork(), NO_MASKS, called(has_network=True))


def test_without_seccomp_there_is_no_filter_to_read():
    assert "--seccomp" not in words(fork(), NO_MASKS, called(filter_at=None))


def test_what_holds_others_is_shown_before_them():
    deep = fork("/tmp/a/b", "/home/x/y", "/home/x", "/etc/hosts", writable=("/home/x/y",))
    places = [place for _, _, place in binds(words(deep, NO_MASKS, called()))]
    for at, place in enumerate(places):
        assert not any(place.startswith(f"{later}/") for later in places[at:]), place
    assert sorted(places) == sorted({*deep.targets, "/tmp", "/dev/shm"}), "each once"


def test_only_what_may_be_written_is_bound_so():
    found = binds(words(fork("/a", "/b", writable=("/b",)), NO_MASKS, called()))
    assert {place for kind, _, place in found if kind == "--bind"} == {"/b", "/tmp", "/dev/shm"}
    assert {place for kind, _, place in found if kind == "--dev-bind"} == {"/dev"}


def test_a_place_that_every_slice_has_is_shown_as_the_slice_asked():
    found = binds(words(fork("/etc", writable=("/etc",)), NO_MASKS, called()))
    assert [one for one in found if one[2] == "/etc"] == [("--bind", "/shown/3", "/etc")]


def test_what_proc_tells_is_covered_by_the_devices_that_are_shown():
    masks = Masks(["/proc/kallsyms"], ["/proc/acpi"])
    found = binds(words(fork(), masks, called()))
    assert found[-2:] == [
        ("--dev-bind", "/shown/2/null", "/proc/kallsyms"),
        ("--ro-bind", "/shown/2/empty", "/proc/acpi"),
    ]


def test_nothing_that_a_launch_brings_is_taken_for_an_option():
    """Words end where the program begins, and each path is the value of an option."""
    found = words(fork("/--unshare-net"), NO_MASKS, called())
    assert found[found.index("/--unshare-net") - 2] == "--ro-bind"
    assert found[-4] == "--"


@pytest.mark.parametrize(
    ("status", "read"),
    [
        (0, 0),
        (7 << 8, 7 << 8),
        ((128 + signal.SIGKILL) << 8, signal.SIGKILL),
        ((128 + signal.SIGSEGV) << 8, signal.SIGSEGV),
        (128 << 8, 128 << 8),
        (255 << 8, 255 << 8),
        (signal.SIGKILL, signal.SIGKILL),
    ],
)
def test_an_end_that_is_told_as_a_shell_does_is_read_as_the_signal_that_it_was(status, read):
    assert status_of(status) == read


def test_the_version_is_the_last_word():
    assert version_of("bubblewrap 0.8.0\n") == "0.8.0"
    assert version_of("") == ""
