"""What an agent of another user can have a spawner of root's do: what that user could do itself, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_user_world import (
    AGENT,
    STRANGER,
    Agent,
    Estate,
    agent_of,
    as_user,
    estate_in_tmp,
    service,
)
from runink.sandbox.protocol import ISOLATION
from runink.sandbox.rights import User
from runink.sandbox.spawning import check_private, make_folder, words_of
from sandbox_world import place_in

NOT_SHOWN = "slice_not_shown"


@pytest.fixture
def estate() -> Iterator[Estate]:
    with estate_in_tmp() as estate:
        yield estate


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Estate, Agent]]:
    """A spawner and an agent for the tests that leave both as they were."""
    with estate_in_tmp() as estate, service(estate), agent_of(estate) as agent:
        estate.file("closed/file", 0o644)
        estate.file("closed/theirs", 0o600, AGENT)
        estate.folder("open/closed", 0o700)
        estate.file("open/root's", 0o600)
        estate.file("open/for all", 0o644)
        estate.file("open/for their group", 0o040, User(0, AGENT.gid))
        estate.file("open/for root's group", 0o060)
        yield estate, agent


def test_what_the_user_owns_is_shown_and_what_slices_write_is_the_users(shared):
    estate, agent = shared
    (estate.home / "file").write_text("content")
    os.chown(estate.home / "file", *AGENT)
    look = agent.launch((estate.home, False), job=f"look {estate.home}/file")
    assert look == ["ended", "exited", 0, "content\n"]
    write = agent.launch((estate.home, True), job=f"write {estate.home}/new")
    assert write == ["ended", "exited", 0, "written\n"]
    assert estate.owner_of("new") == AGENT


@pytest.mark.parametrize(
    ("path", "is_writable"),
    [
        ("/etc/shadow", False),
        ("{}/closed", False),
        ("{}/open/root's", False),
        ("{}/open/for root's group", False),
        ("/etc/passwd", True),
        ("/etc", True),
        ("{}/open", True),
        ("{}/open/for all", True),
        ("{}/open/for their group", True),
    ],
)
def test_what_the_user_may_not_open_or_write_is_not_shown_so(shared, path, is_writable):
    """A descriptor that only names a thing (O_PATH) needs no right to it."""
    estate, agent = shared
    meant = path.format(estate.root)
    code, text = agent.launch((meant, is_writable))
    assert code == NOT_SHOWN
    assert f"{AGENT} may not {'write' if is_writable else 'open'} {meant}" in text


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "{}/open", "{}/open/for all", "{}/open/for their group"]
)
def test_what_the_user_may_read_is_shown(shared, path):
    estate, agent = shared
    assert agent.launch((path.format(estate.root), False))[0] == "ended"


def test_a_path_is_walked_with_the_users_rights(shared):
    """The thing itself is the user's, and it holds it open; but there it cannot go."""
    estate, agent = shared
    theirs = estate.home / "theirs"
    os.link(estate.root / "closed/theirs", theirs)
    assert agent.launch((theirs, True))[0] == "ended"
    code, text = agent.launch((estate.root / "closed/theirs", True, theirs))
    assert code == NOT_SHOWN
    assert f"does not reach {estate.root}/closed/theirs" in text


def test_a_path_that_does_not_lead_to_what_the_agent_holds_is_refused(shared):
    estate, agent = shared
    code, text = agent.launch(("/etc", False, estate.home))
    assert (code, "not any more what it was" in text) == (NOT_SHOWN, True)


@pytest.mark.parametrize("path", ["/proc/self/root", "/proc/self/cwd"])
def test_no_way_of_the_spawners_own_is_a_path(shared, path):
    """What these lead to is decided by who looks: for the spawner, what only it can reach."""
    _, agent = shared
    code, text = agent.launch((path, False, "/"))
    assert code == NOT_SHOWN
    assert f"{path}: Too many levels of symbolic links" in text, "which is how it is said"


def test_what_lies_beneath_is_as_closed_as_it_is_to_the_user(shared):
    """The folder is shown; what is root's in it stays closed to slices as it is to the user."""
    estate, agent = shared
    for path, said in (
        ("root's", "EACCES"),
        ("for all", "content"),
        ("for their group", "content"),
    ):
        job = f"look {estate.root}/open/{path}"
        assert agent.launch((estate.root / "open", False), job=job)[3] == f"{said}\n"
    job = f"look {estate.root}/open/closed"
    assert agent.launch((estate.root / "open", False), job=job)[3] == "EACCES\n"


def test_an_agent_has_slices_ended_and_ends_nobody_itself(shared):
    """It holds handles of its spawner and of its slices; signals go by users."""
    _, agent = shared
    assert agent.signals() == ["EPERM", "EPERM", "killed"]


def test_a_slice_that_is_shown_its_spawners_socket_is_not_let_in(shared):
    """The file is the agent's user's, and so it may be shown; whoever comes in by it is the herd's."""
    estate, agent = shared
    said = agent.launch((estate.socket, True), job=f"knock {estate.socket}")[3]
    assert f"it serves {AGENT}, not user" in said


def test_no_slice_is_a_plain_process_of_roots(estate):
    """Whatever its agent says that it may do without."""
    place = place_in(estate.root / "run", is_plain=True, user=AGENT)
    child = subprocess.run(words_of(place), capture_output=True, text=True, check=False, timeout=60)
    assert child.returncode == 1
    assert "would have all rights of root" in child.stderr


def test_who_is_not_root_serves_nobody_else(estate):
    words = words_of(place_in(estate.home, user=STRANGER))
    child = subprocess.run(
        as_user(AGENT, *words), capture_output=True, text=True, check=False, timeout=60
    )
    assert child.returncode == 1
    assert "only root serves another user" in child.stderr


def test_a_network_that_is_not_shared_is_refused_whatever_the_agent_says(shared, estate):
    _, agent = shared
    assert agent.launch(network="host")[0] == "ended"
    with service(estate, shares_network=False), agent_of(estate) as another:
        code, text = another.launch(network="host", without=[ISOLATION])
        assert (code, "--no-host-network" in text) == ("network_unavailable", True)
        assert another.launch()[0] == "ended"


def test_what_is_read_only_for_the_agent_is_read_only_for_its_slices(estate):
    """An agent may live in narrower mounts than the spawner (ProtectSystem= of its unit)."""
    kept, idle = estate.folder("kept", 0o700, AGENT), estate.folder("idle", 0o700, AGENT)
    program = idle / "program"
    program.write_text("#!/bin/sh\necho it ran\n")
    os.chown(program, *AGENT)
    program.chmod(0o700)
    with service(estate):
        with agent_of(estate, mounts=(f"fixed={kept}", f"idle={idle}")) as agent:
            code, text = agent.launch((kept, True))
            assert (code, f"{kept} is read-only where its agent lives" in text) == (NOT_SHOWN, True)
            assert agent.launch((kept, False))[0] == "ended"
            assert agent.launch((idle, False), job=f"run {program}")[3] == "EACCES\n"
        with agent_of(estate) as agent:
            assert agent.launch((kept, True))[0] == "ended"
            assert agent.launch((idle, False), job=f"run {program}")[3] == "it ran\n"


def test_nothing_that_a_mount_covers_comes_to_light(estate):
    """Root's own slices are shown such a folder without the file system that cannot be mapped, and see what that covers."""
    covered = estate.folder("home/covered", 0o755, AGENT)
    estate.file("home/covered/below", 0o644, AGENT)
    mounts = (f"other={covered}",)
    with service(estate, mounts=mounts), agent_of(estate, mounts=mounts) as agent:
        code, text = agent.launch((estate.home, False))
        assert (code, "mounted beneath it" in text) == (NOT_SHOWN, True)
    with service(estate), agent_of(estate) as agent:
        assert agent.launch((estate.home, False), job=f"look {covered}")[3] == "below\n"


@pytest.mark.parametrize(
    ("user", "how"), [(STRANGER, "Permission denied"), (None, f"it serves {AGENT}")]
)
def test_another_user_is_not_let_in(estate, user, how):
    """By the socket's mode; and root, whom no mode keeps out, by its word."""
    with service(estate), agent_of(estate) as agent:
        assert agent.launch()[0] == "ended"
        found = refusal_of(estate, user)
        assert how in found
        assert agent.launch()[0] == "ended", "who was there is served on"


def test_a_socket_that_its_owner_has_opened_to_all_lets_nobody_else_in(estate):
    with service(estate), agent_of(estate) as agent:
        assert agent.launch()[0] == "ended"
        estate.socket.chmod(0o666)
        assert f"it serves {AGENT}, not {STRANGER}" in refusal_of(estate, STRANGER)


def refusal_of(estate: Estate, user: User | None) -> str:
    """Return what an agent says that is refused."""
    script = str(Path(__file__).with_name("agent_user_world.py"))
    words = as_user(user, sys.executable, script, str(estate.socket))
    child = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, cwd="/")
    assert child.returncode == 1
    return child.stderr


LISTEN = """
import os, socket, sys
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
link.listen()
print("listening", flush=True)
sys.stdin.read()
"""


def test_an_agent_tells_nothing_to_a_stranger_in_the_place_of_its_spawner(estate):
    os.chown(estate.socket.parent, *STRANGER)
    words = as_user(STRANGER, sys.executable, "-c", LISTEN, str(estate.socket))
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "listening\n"
        assert f"user {STRANGER.uid}, and neither root nor ours" in refusal_of(estate, AGENT)
        stranger.communicate()


def test_a_folder_that_others_can_write_is_no_place_for_a_socket_of_roots(estate):
    folder = estate.root / "a" / "b"
    folder.mkdir(parents=True)
    check_private(folder)
    for one, mode in ((folder, 0o777), (folder.parent, 0o777), (folder, 0o1777)):
        one.chmod(mode)
        with pytest.raises(PermissionError, match="others than root"):
            check_private(folder)
        one.chmod(0o755)
    folder.parent.chmod(0o1777)
    check_private(folder)  # in a folder that is shared by all, each has its own names
    os.chown(folder.parent, 4711, 4711)
    with pytest.raises(PermissionError, match="others than root"):
        make_folder(folder, User(4711, 4711))
