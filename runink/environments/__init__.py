"""Packages that a project's steps bring along: one virtual environment for each lock, made by uv, shared by all runs that have it.

    lock.py          what a `requirements.lock` may say, and the key that it gives its environment
    store.py         finds an environment or makes it; a use of it
    worker.py        the process that makes one: uv, then what makes it whole and read-only
    diagnosing.py    what uv says, as an error that names the lock's line
    packages.py      which of its packages another version is loaded of already
    activating.py    within a slice: its packages come before ours
    collecting.py    takes away what nobody used for long

    STATE/environments/
      KEY/                    an environment: whole, for it came here by a rename; its time is that of its last use
        runink-environment.json   its packages and the modules that they have
      making/KEY.RANDOM/      one that is being made, or was when its maker died
      gone/RANDOM/            one that is being removed
      locks/KEY               locked by who makes or removes it, or begins a use
      leases/KEY.RANDOM       a use: locked for as long as a process holds it open
      cache/                  uv's downloads, unpacked; environments are hard links to them

A use is an open descriptor with a lock of its own file, handed on to the slices: the kernel gives it up when the last of them has ended,
whatever becomes of the agent.  A slice can spoil no lease but its own.

No code of a package runs outside a slice: nothing is built from source, and the interpreter of an environment is never started here, because
packages may have files (`.pth`) that each start of it runs.
"""
