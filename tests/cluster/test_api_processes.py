"""The HTTP API of real processes: `runi server` and `runi up --api`."""

from __future__ import annotations

import signal
import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import msgspec
import trustme
from barn_group import DYING_WITH_US, SERVER
from barn_networks import free_port
from runi_project import RUNI

WAIT_S = 60.0


class Local(HTTPConnection):
    """Speaks HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=WAIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WAIT_S)
        self.sock.connect(str(self._path))


def ask(
    connection: HTTPConnection, path: str, said: Any = None, token: str = ""
) -> tuple[int, Any]:
    """Read what is at a path, or post what is said."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    method, body = "GET", None
    if said is not None:
        method, body = "POST", msgspec.json.encode(said)
        headers["Content-Type"] = "application/json"
    connection.request(method, f"/api/v1{path}", body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, msgspec.json.decode(content)


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that serves, from its last line about the API on."""
    child = subprocess.Popen([*DYING_WITH_US, *words], stderr=subprocess.PIPE)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=WAIT_S)


def said(child: subprocess.Popen[bytes], text: str) -> str:
    """Return the next line that has the text."""
    assert child.stderr is not None
    lines = []
    for line in child.stderr:
        lines.append(line.decode())
        if text in lines[-1]:
            return lines[-1]
    raise AssertionError(f"it never said {text!r}: {''.join(lines)}")


def test_a_server_serves_its_user_by_a_socket_and_others_by_tls_which_it_takes_in_anew(
    tmp_path: Path,
) -> None:
    state, place = tmp_path / "m1", f"127.0.0.1:{free_port()}"
    first, second = trustme.CA(), trustme.CA()
    write(tmp_path, first)
    words = [
        "--state",
        str(state),
        "--member",
        "1",
        "--address",
        f"1=127.0.0.1:{free_port()}",
        "--api",
        place,
    ]
    words += [
        "--api-certificate",
        str(tmp_path / "chain.pem"),
        "--api-key",
        str(tmp_path / "key.pem"),
        "--api-budget",
        "3",
    ]
    port = int(place.rpartition(":")[2])
    with running(*SERVER, *words, "--init") as server:
        assert "https" in said(server, f"{place}/api/v1/docs")
        path = state / "api.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        connection = Local(path)
        connection.request("GET", "/api/v1/version")
        policy = connection.getresponse().getheader("RateLimit-Policy")
        assert policy == '"default";q=600;w=4', "of whoever asks for what is public"
        connection.close()
        status, page = ask(Local(path), "/herds?limit=1")
        assert (status, page["items"]) == (200, [])
        assert (
            ask(
                HTTPSConnection("127.0.0.1", port, context=trusting(first), timeout=WAIT_S),
                "/herds",
            )[0]
            == 401
        )
        write(tmp_path, second)
        server.send_signal(signal.SIGHUP)
        said(server, "certificate taken in")
        status, version = ask(
            HTTPSConnection("127.0.0.1", port, context=trusting(second), timeout=WAIT_S), "/version"
        )
        assert (status, version["api"]) == (200, "v1")
        told = subprocess.run([*RUNI, "barn", "metrics", "--state", state], capture_output=True, check=True)  # fmt: skip
        assert b'runink_api_requests_total{door="http",herd="",operation="herds.list",status="4xx"} 1\n' in told.stdout  # fmt: skip
        assert b'runink_api_connections{door="wire"} 0\n' in told.stdout
    assert server.returncode == 0
    assert not path.exists()


def test_a_cluster_of_one_process_serves_it_where_it_is_asked_to_and_lets_its_programs_in(
    tmp_path: Path,
) -> None:
    place = f"127.0.0.1:{free_port()}"
    words = ["--state", str(tmp_path / "s"), "--no-isolation", "--api", place]
    with running(*RUNI, "up", *words) as up:
        said(up, f"http://{place}/api/v1/docs")
        ours = partial(ask, Local(tmp_path / "s/api.sock"))
        others = partial(ask, HTTPConnection(place, timeout=WAIT_S))
        assert others("/herds")[0] == 401
        assert ours("/herds", {"says": {"herd": {"id": "sales"}}})[0] == 201
        assert ours("/herds/sales/service-accounts", {"account": "nightly"})[0] == 201
        of_program = {
            "binding": "nightly",
            "role": "viewer",
            "subjects": ["service-account:sales/nightly"],
        }
        assert ours("/herds/sales/bindings", of_program)[0] == 201
        status, minted = ours("/herds/sales/service-accounts/nightly/tokens", {"lifetime_s": 600})
        assert status == 201, minted
        # The member hears of what it has written a moment later.
        deadline_s, herds = time.monotonic() + WAIT_S, []
        while not herds and time.monotonic() < deadline_s:
            status, page = others("/herds", token=minted["access_token"])
            assert status == 200
            herds = [one["herd"] for one in page["items"]]
        assert herds == ["sales"]
    assert up.returncode == 0
    with running(*RUNI, "up", *words) as up:
        said(up, f"http://{place}/api/v1/docs")
        assert (
            ask(
                HTTPConnection(place, timeout=WAIT_S), "/herds/sales", token=minted["access_token"]
            )[0]
            == 200
        )


def write(folder: Path, authority: trustme.CA) -> None:
    issued = authority.issue_cert("127.0.0.1")
    (folder / "chain.pem").write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
