"""Slices of runs are the first processes of their cells: what that changes for a step, and what it does not."""

from __future__ import annotations

from runi_project import Project

FACTS = """
import os, subprocess, threading, time
@step(each="record")
def work(row):
    started = []
    def start():
        started.append(subprocess.Popen(["sh", "-c", "exit 7"]))
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    code = started[0].wait()
    clock = time.pthread_getcpuclockid(threading.main_thread().ident)
    used = time.clock_gettime(clock) > 0
    subprocess.run(["sh", "-c", "for number in $(seq 100); do (exit 0 & ); done"], check=True)
    until = time.monotonic() + 60
    while len(open("/proc/1/task/1/children").read().split()) > 32:
        assert time.monotonic() < until, "nobody reaps"
        os.sched_yield()
    return {"a": f"{os.getpid()} {code} {used}"}
"""
KILLS = """
import os
@step(each="record")
def work(row):
    os.kill(os.getpid(), 9)
    return row
"""
ABORTS = KILLS.replace("os.kill(os.getpid(), 9)", "os.abort()")
LINES = '@source("csv://in.csv")\n@step("work")\n@sink("jsonl://out.jsonl")'


def test_a_step_is_number_1_has_its_childrens_exit_codes_and_orphans_are_reaped(project: Project):
    project.write("in.csv", "a\n1\n")
    project.step(FACTS)
    said = project.run(project.pipeline(LINES))
    assert said.code == 0, said
    assert project.rows("out.jsonl") == [{"a": "1 7 True"}]


def test_a_step_that_kills_itself_or_aborts_is_told_to_have_ended_by_force(project: Project):
    project.write("in.csv", "a\n1\n")
    file = project.pipeline(LINES)
    for code, said_of in ((KILLS, "SIGKILL"), (ABORTS, "SIGSEGV")):
        project.step(code)
        said = project.run(file)
        assert said.code != 0, said
        assert said_of in str(said), said
