"""Real locks, an index that never answers, wheels made on the spot: what tests of a project's own packages use."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runink.environments.making import uv_program

MAKE = """
import sys
from pathlib import Path
import anyio
from runink.environments.lock import parsed_lock
from runink.environments.store import Environments, Listener

async def main():
    lock = parsed_lock(Path(sys.argv[2]).read_text())
    listener = Listener(lambda text: print("waits", text, flush=True), lambda text: print(text, flush=True))
    use = await Environments(Path(sys.argv[1])).ready(lock, listener)
    print("ready", use.folder, flush=True)
    if len(sys.argv) > 3:
        sys.stdin.read()

anyio.run(main)
"""


def locked(*requirements: str, folder: Path) -> str:
    """Return a real lock of these requirements, made by uv from the real index."""
    words = [uv_program(), "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "-"]
    words += ["--python", sys.executable, "--cache-dir", str(folder / "uv-cache")]
    text = "\n".join(requirements)
    return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout


def maker(root: Path, lock: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    """Start a process that has the lock's environment made in `root`; with one more word it stays until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", MAKE, str(root), str(lock), *more],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


class StallingIndex:
    """An index that takes connections and says nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(60)

    @property
    def variables(self) -> dict[str, str]:
        address = f"http://127.0.0.1:{self._socket.getsockname()[1]}/simple"
        return {"UV_DEFAULT_INDEX": address, "UV_HTTP_TIMEOUT": "600"}

    def visitor(self) -> socket.socket:
        """Wait until uv asks, and return its connection."""
        connection, _ = self._socket.accept()
        connection.settimeout(60)
        assert connection.recv(1)
        return connection

    def close(self) -> None:
        self._socket.close()


def has_hung_up(connection: socket.socket) -> bool:
    """Wait until the other end is gone."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    finally:
        connection.close()
    return True


@contextmanager
def refusing_index() -> Iterator[dict[str, str]]:
    """Run an index that wants a password and takes none; yield the variables that lead there with one."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )

    thread = threading.Thread(target=answer)
    thread.start()
    port = server.getsockname()[1]
    try:
        yield {"UV_DEFAULT_INDEX": f"http://somebody:geheim99@127.0.0.1:{port}/simple"}
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def wheel(folder: Path, name: str, files: dict[str, str]) -> str:
    """Make a wheel of version 1.0 with these files, and return the lock's line for it."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-1.0.dist-info"
    whole = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_digest(text)},{len(text)}\n" for path, text in whole.items())
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in {**whole, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(place, text)
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
