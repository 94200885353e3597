"""What a node is told about itself: where it keeps its state, what it offers to slices, how long its slices outlive it."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from runink.capabilities import (
    BUBBLEWRAP,
    FULL,
    HOST_NETWORK,
    ISOLATION,
    NO_ISOLATION,
    REFUSED,
    Isolation,
)
from runink.dag import Resources
from runink.errors import Invalid, Refused
from runink.labels import check_labels
from runink.machine_reading import read_cpu_m, read_memory_bytes
from runink.machines import BACK_S, LOST_S, SUSPECT_S, Reserved
from runink.names import HerdName, NodeId
from runink.wants import check_store

CPU_SHARES: Final = 16  # of each core: a request is a weight as long as no cgroup makes it a limit
TRUST_FOLDER: Final = "trust"  # in a state folder: whom a node trusts, and what it shows
IDENTITY: Final = "member.json"  # in the folder of a member of a group: which one it is
RESERVED: Final = Reserved()
SUSPECT_S_MIN: Final = 2.0  # one of its words may be late
LOST_S_MIN: Final = 10.0  # its own slices must have ended a while before
WARM_CELLS: Final = 4  # of a node that stays: enough for a small pipeline
SOLVER_ROUNDS_MAX: Final = 100  # seconds of each plan
API_SOCKET: Final = "api.sock"  # in a state folder
BUDGET_TIMES_MAX: Final = 1_000  # beyond that it is none
_ORIGIN: Final = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
ORPHAN_S: Final = 25.0  # less than the agent's lease: who finds a slice lost may rely on its end


class Address(msgspec.Struct, frozen=True):
    """Where a member listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that HOST:PORT means; an IPv6 host stands in brackets. Raises Invalid."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise Invalid(
                f"{text!r} is not HOST:PORT",
                code="config_invalid",
                hint="it looks like 10.0.0.1:7400 or [fd00::1]:7400",
            )
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_SAID: Final = {
    Isolation.CELLS: FULL,
    Isolation.BUBBLEWRAP: BUBBLEWRAP,
    Isolation.NONE: NO_ISOLATION,
}  # of what a node has


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an embedded one-node cluster.

    `state` is the folder of everything that it keeps: the Barn's log, run folders, bundles, the socket.  One cluster at a time has it, which the
    Barn's lock sees to.

    `node` is the name under which the agent registers.

    `capacity` is what slices may ask for together.  Processor time is offered many times over (`CPU_SHARES` for each core): a
    gang of a hundred idle slices must fit a laptop, and the kernel shares a core more fairly than a reservation would.  Memory is the
    machine's.

    `reserved` is what was left out of `capacity` for the system; the disk of it is told, and nothing is held to it yet.

    `labels` are what steps may ask for by name (`@affinity(label=...)`).

    `gpus` is how many graphics processors slices may ask for together, nothing for those that the machine has; `disk_bytes` how much of the disk of `state`, nothing for what is free when the
    node starts, less what is reserved.

    `herds` are those whose slices alone come here; none for all.  `visible` are names of secrets and data: slices that need others do not come here, nothing for no limit.

    `near` are stores (`s3://lake`) that are quicker to read here than elsewhere: slices that read them rather come here.

    `slices_max` bounds how many slices run at once, whatever they ask for; each is a process.

    `orphan_s` is how long slices go on without their agent, seconds.  0 ends them with it: what a run started at a terminal wants.

    `isolation` is what closes slices off.  Without any they are plain processes with all rights of who runs the node, which it says whenever it starts.

    `shares_network` lets slices that need it have the node's own network (`network="host"`), as a laptop's do that reach a database on it.

    `warm_cells` is how many isolated cells may wait for slices that were asked for lately, so that the next run of a pipeline finds them; each has about 3 MB of its own.

    `lost_s` is after how long without a word the cluster takes the node for lost, and begins with its slices elsewhere.  The node ends them itself a sixth of that time before.

    `spawner` is the socket of a spawner that others run, as another user or as a service; without it the node starts its own.  `keeper` is a descriptor by which a keeper of root's is asked to start the
    one at `spawner`, where this process was started as root and has given that up; -1 where there is none.

    `metrics` is where the agent serves /metrics and /healthz: an address of loopback, or the path of a Unix socket; nowhere without it.

    `listen` is where its relay takes streams of other nodes; without it the node has no part in gangs that stand on several.  Beyond loopback that needs a certificate.
    """

    state: Path
    node: NodeId = NodeId("local")
    capacity: Resources
    reserved: Reserved = RESERVED
    labels: tuple[str, ...] = ()
    gpus: int | None = None
    disk_bytes: int | None = None
    herds: tuple[HerdName, ...] = ()
    visible: tuple[str, ...] | None = None
    near: tuple[str, ...] = ()
    slices_max: int = 512
    orphan_s: float = ORPHAN_S
    isolation: Isolation = Isolation.CELLS
    shares_network: bool = True
    warm_cells: int = 0
    lost_s: float = LOST_S
    spawner: Path | None = None
    keeper: int = -1
    metrics: Address | Path | None = None
    listen: Address | None = None

    @property
    def is_isolated(self) -> bool:
        """Whether anything closes slices off."""
        return self.isolation is not Isolation.NONE

    @property
    def capabilities(self) -> dict[str, str]:
        """What the node says of how it runs slices, by these settings alone; what it can do of it is found by trying."""
        return {
            ISOLATION: _SAID[self.isolation],
            HOST_NETWORK: "allowed" if self.shares_network else REFUSED,
        }

    @property
    def socket(self) -> Path:
        """Where the cluster listens, for this user only."""
        return self.state / "runi.sock"

    @property
    def trust(self) -> Path:
        """Where the node's certificate lies, if it is one of a cluster elsewhere."""
        return self.state / TRUST_FOLDER

    @property
    def barn(self) -> Path:
        return self.state / "barn"

    @property
    def spawner_log(self) -> Path | None:
        """Where the spawner's log is; nothing where others keep it."""
        if self.spawner is None:
            return self.state / f"spawner-{self.node}.log"
        return self.spawner.with_suffix(".log") if self.keeper >= 0 else None

    def validate(self) -> None:
        """Raise Invalid for settings that cannot be meant."""
        if self.capacity.cpu_m < 1 or self.capacity.memory_bytes < 1:
            raise Invalid("a node offers some cpu and memory", code="config_invalid")
        if (self.state / IDENTITY).exists():
            raise Invalid(
                f"{self.state} holds the state of a member of a group, which does not run",
                code="member_of_group",
                hint="start it with runi server",
            )
        if self.slices_max < 1 or self.orphan_s < 0:
            raise Invalid("slices_max is 1 or more, orphan_s 0 or more", code="config_invalid")
        if self.spawner is not None and not self.is_isolated:
            raise Invalid(
                "a spawner that serves another user runs no slices as plain processes: they would have its rights",
                code="config_invalid",
                hint="leave --no-isolation away, or --spawner",
            )
        if self.lost_s < LOST_S_MIN:
            text = f"a node is lost after {LOST_S_MIN:g} s at the soonest"
            raise Invalid(text, code="config_invalid")
        check_labels(self.labels)
        for store in self.near:
            check_store(store)
        if min(msgspec.structs.astuple(self.reserved)) < 0:
            raise Invalid("what is reserved is 0 or more", code="config_invalid")


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """Where the members of a cluster listen, and what they are shown: the certificate in the folder `trust`, or on loopback a secret. One address is enough; with all of them the loss of a member harms nobody."""

    addresses: tuple[Address, ...]
    trust: Path | None = None
    secret: Path | None = None

    def validate(self) -> None:
        """Raise Invalid for settings that cannot be meant."""
        if not self.addresses:
            text = "nobody says where the cluster's members listen"
            raise Invalid(text, code="config_invalid", hint="--server HOST:PORT, once for each")
        if self.trust is None and self.secret is None:
            raise Invalid(
                "the members of a cluster want to see a certificate or a secret",
                code="config_invalid",
                hint="runi node join makes a folder for --trust; on one machine --secret FILE will do",
            )


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the HTTP API is served.

    `socket` is the Unix socket of who runs the server: who reaches it needs no token, and may everything.

    `listen` is an address for everybody else, who come with tokens; nowhere without it.  Beyond loopback it needs a certificate.

    `certificate` and `key` are its PEM files: the certificate with those that it was signed by behind it, and the key without a passphrase.  They are read again when they change on the disk.

    `origins` are web pages of other places that may read answers (`https://console.example`); none without them.  The API's own pages need none.

    `budget_times` is how many times the usual budget of requests and bytes each caller has (`operations/purses.py`), by HTTP and the wire together: for programs that do much, on a machine that can.
    """

    socket: Path
    listen: Address | None = None
    certificate: Path | None = None
    key: Path | None = None
    origins: tuple[str, ...] = ()
    budget_times: int = 1

    def validate(self) -> None:
        """Raise Invalid for settings that cannot be meant."""
        if (self.certificate is None) != (self.key is None):
            raise Invalid(
                "a certificate is served with its key",
                code="config_invalid",
                hint="--api-certificate FILE --api-key FILE",
            )
        if self.certificate is not None and self.listen is None:
            raise Invalid(
                "nobody says where the API listens with this certificate",
                code="config_invalid",
                hint="--api HOST:PORT",
            )
        if not 1 <= self.budget_times <= BUDGET_TIMES_MAX:
            raise Invalid(
                f"a caller cannot have {self.budget_times} times the usual budget",
                code="config_invalid",
                hint=f"--api-budget 1 to {BUDGET_TIMES_MAX}",
            )
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise Invalid(
                    f"{origin!r} is no origin of a page",
                    code="config_invalid",
                    hint="it looks like https://console.example or http://127.0.0.1:3000",
                )


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one member of a Barn of one, three or five members.

    `state` is the folder of everything that it keeps. One server at a time has it, which the Barn's lock sees to.

    `cluster` is the group's name: members of another are refused.

    `member` is this member's number, 1 or more, and never that of another one, also not of one that is gone.

    `addresses` are where all members listen, by number, this one too.

    `joins` says that the group is there already and takes this member in (`runi cluster add`): it begins without knowing anybody.  Otherwise
    the members in `addresses` found the group together, when their folders are empty.

    `secret` is a file, readable by this user only, whose content all members show each other, in place of certificates; with one the member listens on loopback only, and it keeps other users of
    the machine out.

    `suspect_s` is after how long a worker node that has not said that it lives gets no new work, while this member acts; all members are given the same.

    `back_s` is for how long a worker node that was lost may come back: what only it could hold waits that long before it fails, 0 for not at all; all members are given the same.

    `identity` names the nodes that sign tokens and ask people's providers (`runi identity`), in the order in which they are asked; none: this member does.  All members are given the same.

    `solver_rounds` is how many neighbourhoods of each plan OR-tools makes better while this member acts (`placement/improving.py`), each in some hundredths of a second that
    decisions wait for; 0 for none, which needs no OR-tools.

    `api` is where the HTTP API is served; nowhere without it.
    """

    state: Path
    cluster: str = "runink"
    member: int
    addresses: dict[int, Address]
    joins: bool = False
    secret: Path | None = None
    suspect_s: float = SUSPECT_S
    back_s: float = BACK_S
    solver_rounds: int = 0
    identity: tuple[NodeId, ...] = ()
    api: ApiSettings | None = None

    @property
    def socket(self) -> Path:
        """Where the member listens for this user."""
        return self.state / "runi.sock"

    @property
    def barn(self) -> Path:
        return self.state / "barn"

    @property
    def trust(self) -> Path:
        """Where the member's certificate lies."""
        return self.state / TRUST_FOLDER

    def validate(self) -> None:
        """Raise Invalid for settings that cannot be meant."""
        if not 1 <= self.member < 1 << 32 or self.member not in self.addresses:
            text = f"member {self.member} has no address among those of all members"
            raise Invalid(text, code="config_invalid", hint="--member 1 --address 1=HOST:PORT ...")
        if not self.joins and len(self.addresses) not in GROUP_SIZES:
            raise Invalid(
                f"a Barn of {len(self.addresses)} members: it begins with 1, 3 or 5, because an even number bears no more failures",
                code="config_invalid",
                hint="name those that founded it: where members that came later listen is known from the Barn itself",
            )
        if not 0 <= self.solver_rounds <= SOLVER_ROUNDS_MAX:
            text = f"of a plan {SOLVER_ROUNDS_MAX} neighbourhoods at most are made better"
            raise Invalid(text, code="config_invalid")
        if self.api is not None:
            self.api.validate()
        if self.back_s < 0:
            raise Invalid("for a lost node is waited 0 s or more", code="config_invalid")
        if self.suspect_s < SUSPECT_S_MIN:
            text = f"a node is suspect after {SUSPECT_S_MIN:g} s at the soonest"
            raise Invalid(text, code="config_invalid")


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose state a folder holds: the file IDENTITY in it."""

    cluster: str
    member: int


def read_identity(state: Path) -> Identity | None:
    """Return whose state a folder holds, nothing if it does not say. Raises Refused (`other_member`) if what it says is damaged, OSError."""
    path = state / IDENTITY
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise Refused(f"{path} is damaged: {error}", code="other_member") from error


GROUP_SIZES: Final = frozenset({1, 3, 5})


class Role(Enum):
    """How much of a cluster a process runs: all of it, or the store with what people ask of it."""

    ALL = "all"
    STORE = "store"


def offered(reserved: Reserved = RESERVED) -> Resources:
    """Return what this machine offers to slices: what its cgroups leave us of it, less what is reserved for the system, and half of it at least."""
    cpu_m, memory_bytes = read_cpu_m(), read_memory_bytes()
    return Resources(
        max(cpu_m - reserved.cpu_m, cpu_m // 2) * CPU_SHARES,
        max(memory_bytes - reserved.memory_bytes, memory_bytes // 2),
    )


UNIX: Final = "unix:"


def metrics_place(text: str) -> Address | Path:
    """Return where metrics are served: HOST:PORT, or unix:PATH. Raises Invalid."""
    if not text.startswith(UNIX):
        return Address.parse(text)
    path = text.removeprefix(UNIX)
    if not path:
        raise Invalid(
            "unix: needs a path", code="config_invalid", hint="unix:/run/user/1000/m.sock"
        )
    return Path(path).absolute()
