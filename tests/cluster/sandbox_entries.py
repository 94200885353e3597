"""What the sandbox's tests run in slices.  The job is `name` or `name argument`; each says on its standard output what its test wants to know."""

# ruff: noqa: T201, PTH109, PTH110, PTH112, PTH115, PTH123, PTH208 - printing is what a slice's logs are made of; a slice looks at itself by the plainest means

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings


def main(job: bytes, control: int, descriptors: list[int]) -> int | None:
    name, _, argument = job.decode().partition(" ")
    return globals()[f"do_{name}"](argument, control, descriptors)


def do_nothing(_argument, _control, _descriptors):
    pass


def do_exit(argument, _control, _descriptors):
    return int(argument)


def do_leave(argument, _control, _descriptors):
    sys.exit(argument)


def do_fail(argument, _control, _descriptors):
    raise ValueError(argument)


def do_size(argument, _control, _descriptors):
    """Say how long the job is."""
    print(len(argument))


def do_end_itself(argument, _control, _descriptors):
    os.kill(os.getpid(), int(argument))


def do_wait(argument, control, _descriptors):
    """Say so, and wait for the end."""
    print("waiting", flush=True)
    _wait(control)


def _wait(control):
    with socket.socket(fileno=control) as link:
        while link.recv(1):
            pass


def do_ignore_term(_argument, control, descriptors):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    do_wait("", control, descriptors)


def do_last_words(_argument, control, descriptors):
    """Say a last word when told to end, and end in order."""

    def leave(_number, _frame):
        print("last words", flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    do_wait("", control, descriptors)


def do_nap(argument, _control, _descriptors):
    """Give up the core so many times, and as often in a process of our own that we wait for."""
    child = os.fork()
    for _ in range(int(argument)):
        time.sleep(0.0001)
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def do_catch(_argument, control, descriptors):
    """End with the number of the signal that comes."""

    def leave(number, _frame):
        os._exit(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, leave)
    do_wait("", control, descriptors)


def do_echo(_argument, control, _descriptors):
    """Send back on the control socket what comes from it, up to a line's end."""
    with socket.socket(fileno=control) as link:
        heard = b""
        while not heard.endswith(b"\n"):
            heard += link.recv(100)
        link.sendall(heard)


def do_shout(argument, control, _descriptors):
    """Fill the control socket with garbage and end."""
    with socket.socket(fileno=control) as link:
        link.setblocking(False)
        try:
            while True:
                link.send(os.urandom(5000))
        except BlockingIOError:
            pass
    print("shouted")


def do_flood(argument, _control, _descriptors):
    """Print so many bytes."""
    line = "x" * 99 + "\n"
    for _ in range(int(argument) // 100):
        sys.stdout.write(line)


def do_copy(_argument, _control, descriptors):
    """Copy the first data pipe to the second."""
    source, target = descriptors
    while data := os.read(source, 1 << 16):
        os.write(target, data)


def do_about(_argument, control, descriptors):
    """Tell everything that a slice can see of itself."""
    with open("/proc/self/status") as status:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    found = {}
    with os.scandir("/proc/self/fd") as listing:
        numbers = [int(entry.name) for entry in listing]
    for number in numbers:
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue  # that of the listing itself
    about = {
        "descriptors": found,
        "inheritable": [number for number in found if os.get_inheritable(number)],
        "given": [control, *descriptors],
        "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "user": [os.getuid(), os.getgid(), *os.getgroups()],
        "pid": os.getpid(),
        "session": os.getsid(0) == os.getpid() == os.getpgrp(),
        "name": lines["Name"],
        "blocked": lines["SigBlk"],
        "ignored": lines["SigIgn"],
        "caught": lines["SigCgt"],
        "modules": sorted(sys.modules),
        "stdin": sys.stdin.read(),
    }
    print(json.dumps(about))


def do_print(argument, _control, _descriptors):
    print("to stdout")
    print("to stderr: \udcff", file=sys.stderr)
    sys.stdout.write("without a line's end")


def do_hooked(_argument, _control, _descriptors):
    print(sys.modules["hooked"].forks)


def do_started_program(_argument, _control, _descriptors):
    """Run a program, which must have our standard output and none of our other descriptors."""
    sys.stdout.flush()
    return subprocess.run(["ls", "/proc/self/fd"], check=True).returncode


def _leave_behind(generations):
    """Make a process of a session of its own whose parents are gone."""
    source, target = os.pipe()
    if not os.fork():
        for _ in range(generations):
            os.setsid()
            parent = os.getpid()
            if os.fork():
                os._exit(0)
            while os.getppid() == parent:  # whoever counts us must not count it
                os.sched_yield()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(target, b"x")
        while True:
            time.sleep(1000)
    os.close(target)
    os.wait()
    assert os.read(source, 1)
    os.close(source)


def do_tree(_argument, control, _descriptors):
    """Leave three processes behind, say so, and wait for a word before the end."""
    child = subprocess.Popen(["sleep", "1000"])
    _leave_behind(1)
    _leave_behind(3)
    print("grown", flush=True)
    child.returncode = 0  # it is not ours to wait for any more
    with socket.socket(fileno=control) as link:
        link.recv(1)


def do_stubborn_tree(argument, control, descriptors):
    """Grow a tree of which nobody hears SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    do_tree(argument, control, descriptors)


def do_orphans(argument, _control, _descriptors):
    """Have so many grandchildren end whose parents are gone, and say when none is left, not even as a zombie."""
    source, target = os.pipe()
    for _ in range(int(argument)):
        if not os.fork():
            if not os.fork():
                os.write(target, f"{os.getpid()} ".encode())
            os._exit(0)
        os.wait()
    os.close(target)
    with open(source, "rb") as told:
        pids = told.read().split()
    deadline = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{int(pid)}") for pid in pids):
        assert time.monotonic() < deadline, "nobody has reaped them"
        os.sched_yield()
    print(f"{len(pids)} reaped")


def do_attack_first(_argument, _control, _descriptors):
    """Try to end the first process of our namespace, look into it and become its tracer; say what came of it."""
    with open("/proc/1/comm") as name:
        print(name.read().strip())
    for number in (signal.SIGKILL, signal.SIGSTOP):
        with contextlib.suppress(
            PermissionError
        ):  # Landlock forbids it where it knows of signals; the kernel ignores it
            os.kill(1, number)
    for path in ("/proc/1/mem", "/proc/1/environ", "/proc/1/fd/0", "/proc/1/fd"):
        try:
            os.listdir(path) if path.endswith("fd") else open(path, "rb").close()
            print("done")
        except OSError as error:
            print(errno.errorcode[error.errno])
    return 3


def do_look(argument, _control, _descriptors):
    """Say what stands in a file, what lies in a folder, or why that cannot be known."""
    try:
        if os.path.isdir(argument):
            print(*sorted(os.listdir(argument)))
        else:
            with open(argument) as file:
                print(file.read())
    except OSError as error:
        print(errno.errorcode[error.errno])


def do_write(argument, _control, _descriptors):
    """Write into a file, and say whether that could be."""
    try:
        with open(argument, "w") as file:
            file.write("written")
    except OSError as error:
        print(errno.errorcode[error.errno])
    else:
        print("written")


def do_run(argument, _control, _descriptors):
    """Run a program, and say what it says or why it cannot be run."""
    try:
        child = subprocess.run([argument], capture_output=True, text=True, check=False)
    except OSError as error:
        print(errno.errorcode[error.errno])
    else:
        print(child.stdout.rstrip("\n"))


def do_knock(argument, _control, _descriptors):
    """Connect to a spawner's socket, and say what is answered."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        try:
            link.connect(argument)
        except OSError as error:
            print(errno.errorcode[error.errno])
        else:
            print(link.recv(4096).decode())


def interfaces():
    """Return the network interfaces that there are; netlink, which knows them too, is closed to slices."""
    with open("/proc/net/dev") as table:
        return [line.partition(":")[0].strip() for line in table if ":" in line]


def do_network(_argument, _control, _descriptors):
    """Say which interfaces there are, and what comes back by 127.0.0.1."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as ours,
        server.accept()[0] as theirs,
    ):
        ours.sendall(b"heard")
        heard = theirs.recv(10).decode()
    print(json.dumps([interfaces(), heard]))


def do_random(_argument, _control, _descriptors):
    import random

    found = [random.random()]
    if "numpy.random" in sys.modules:
        found.append(sys.modules["numpy.random"].random())
    print(json.dumps(found))


def do_query(argument, _control, _descriptors):
    """Use polars and pyarrow with all their threads, as a step does that joins, groups and sorts."""
    import polars as pl
    import pyarrow.compute as pc

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        count = int(argument)
        left = pl.LazyFrame({"key": range(count), "value": range(count)})
        right = pl.LazyFrame({"key": range(0, count, 2), "other": range(0, count, 2)})
        joined = left.join(right, on="key").group_by(pl.col("key") % 7).agg(pl.col("value").sum())
        total = joined.sort("key").collect(engine="streaming")["value"].sum()
    arrow = pc.sum(joined.collect().to_arrow()["value"]).as_py()
    print(json.dumps([total, arrow]))
