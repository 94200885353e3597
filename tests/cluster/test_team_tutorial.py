"""The tutorial of the team, done as it stands: its files are written, its commands typed by whom it says, with a certified provider to log in at, and what it says comes out does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from barn_networks import free_port
from oidc_world import AUDIENCE, Browser, Issuer, oidc_server, signing_key
from runi_project import RUNI

pytestmark = pytest.mark.timeout(240)

PAGE = Path(__file__).parents[2] / "docs/team-tutorial.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(\w+)\$ (.*)\n((?:(?!\w+\$ ).*\n)*)", re.MULTILINE)
FILES = {  # whose block says what is in them, in the order of the page
    "dsl": ["features/daily.dsl"],
    "python": ["steps/orders.py", "program.py"],
    "csv": ["srv/data/orders.csv"],
    "toml": ["issuer.toml", "sales.toml"],
}
STAYING = ("runi server", "runi agent")
WITHIN_S = 60


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    keys = [signing_key("ec", "ES256"), signing_key("rsa", "RS256")]
    with oidc_server() as server:
        yield server.serve(keys=keys, groups={"ada": ["admins"], "bert": ["analysts"]})


class Team:
    """Those who do what the page says, each with a home, in one folder."""

    def __init__(self, folder: Path, issuer: Issuer) -> None:
        self.folder = folder
        runi = folder / "bin/runi"
        runi.parent.mkdir()
        runi.write_text(f'#!/bin/sh\nexec {" ".join(RUNI)} "$@"\n')
        runi.chmod(0o755)
        (folder / "runink.toml").touch()
        api = free_port()
        self.replaced = {
            "https://runink.example.com:7443": f"https://localhost:{api}",
            "10.0.0.1:7443": f"127.0.0.1:{api}",
            "10.0.0.1:7400": f"127.0.0.1:{free_port()}",
            "https://runink.example.com": AUDIENCE,
            "https://login.example.com": issuer.url,
            'client_id = "runink"': 'client_id = "command-line"\nloopback = true',
            "/var/lib/runink": str(folder / "state"),
            "/srv/sales": str(folder / "srv"),
        }
        self.words: dict[str, str] = {}  # what was shown once: by how it begins
        self.stay: list[tuple[subprocess.Popen[str], threading.Thread]] = []

    def end(self) -> None:
        for process, drain in reversed(self.stay):
            with process:  # closes its pipes
                process.terminate()
                process.wait(timeout=WITHIN_S)
                drain.join(WITHIN_S)

    def meant(self, text: str) -> str:
        """Return what the page means, here."""
        for said, here in self.replaced.items():
            text = text.replace(said, here)
        return re.sub(r"\b(rn[ak]1\.)…", lambda found: self.words[found[1]], text)

    def begin(self, who: str, command: str) -> subprocess.Popen[str]:
        home = self.folder / "homes" / who
        home.mkdir(parents=True, exist_ok=True)
        ours = ("RUNINK_", "XDG_")
        environment = {name: one for name, one in os.environ.items() if not name.startswith(ours)}
        path = f"{self.folder / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
        return subprocess.Popen(
            ["sh", "-c", command],
            cwd=self.folder,
            env=environment | {"HOME": str(home), "PATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, who: str, command: str, expected: str) -> None:
        meant = self.meant(command)
        # What stays takes the place of its shell, so that it is what is ended.
        process = self.begin(who, f"exec {meant}" if command.startswith(STAYING) else meant)
        if command.startswith(STAYING):
            drain = threading.Thread(target=_drained, args=(process,), daemon=True)
            try:
                output = self._until(process, "ready in")
            finally:
                drain.start()
                self.stay.append((process, drain))
        elif command == "runi login":
            url = self._until(process, "user_code=").split()[-1]
            Browser().approve(url, who)
            output = f"go to {url}\n{process.communicate(timeout=WITHIN_S)[0]}"
        else:
            word = self.words["rna1."] if command == "runi auth bootstrap" else ""
            output, _ = process.communicate(word, timeout=WITHIN_S)
            assert process.returncode == 0, (command, output)
        for word in re.findall(r"\brn[ak]1\.[\w.-]+", output):
            self.words[word[:5]] = word
        check(command, self.meant(expected), output)

    def _until(self, process: subprocess.Popen[str], words: str) -> str:
        """Return what is said up to the line with these words."""
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if words in line:
                return said
        raise AssertionError(f"it ends without {words!r}: {said}")


def _drained(process: subprocess.Popen[str]) -> None:
    """Read what a process says, so that it can go on."""
    assert process.stdout is not None
    for _ in process.stdout:
        pass


def check(command: str, expected: str, output: str) -> None:
    """What the page shows comes out, in this order."""
    at = 0
    for piece in re.split(r"…|\n", expected):
        found = output.find(piece.strip(), at)
        assert found >= 0, f"{command}: {piece!r} does not come behind {output[:at]!r} in {output!r}"  # fmt: skip
        at = found + len(piece.strip())


def test_the_tutorial_of_a_team_can_be_done_as_it_stands(tmp_path: Path, issuer: Issuer) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(tmp_path / "api.key"))
    for part in certificate.cert_chain_pems:
        part.write_to_path(str(tmp_path / "api.pem"), append=True)
    files = {kind: list(paths) for kind, paths in FILES.items()}
    team = Team(tmp_path, issuer)
    typed: list[str] = []
    try:
        for kind, block in FENCE.findall(PAGE.read_text()):
            if kind == "sh":
                for who, command, expected in COMMAND.findall(block):
                    team.type(who, command, expected)
                    typed.append(command)
                continue
            path = tmp_path / files[kind].pop(0)
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(team.meant(block))
            if path.name == "program.py":
                team.type("program", f"{sys.executable} {path}", "succeeded\n")
    finally:
        team.end()
    assert not any(files.values()), files
    assert typed.count("runi login") == 2
