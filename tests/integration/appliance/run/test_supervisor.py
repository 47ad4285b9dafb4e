"""The supervisor when the machine has no room for one more process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]

# Three children that wait for their end and say so; the fourth fork, which restarts the one that is killed,
# finds no pid. What the script prints is in the order in which it happened, but for the two that drain.
SCRIPT = """
import asyncio, errno, os, signal, sys, threading, time, types
from pathlib import Path
import msgspec
from appliance.core.home import Home
from appliance.core.settings import Settings
from appliance.run.supervisor import Plan, Supervisor

async def main(context):
    (context.home.path / f"waits-{os.getpid()}").touch()  # from here on it drains when it is told to
    await context.stop.wait()
    os.write(1, f"{context.name} drained\\n".encode())

module = types.ModuleType("waiting")
module.main = main
sys.modules["waiting"] = module
home = Home(Path(sys.argv[1]))
home.create()
none = {"address": ""}
listeners = {"submission": none, "submissions": none, "inbound": none, "web": none}
settings = msgspec.convert({"box": {"hostname": "mx.example.org"}, "listeners": listeners}, Settings)
fork, forks = os.fork, []

def scarce():
    forks.append(0)
    if len(forks) == 4:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()

os.fork = scarce
plans = [Plan(name=name, module="waiting", listeners=(), shards=()) for name in ("one", "two", "three")]
supervisor = Supervisor(home, settings, plans)

def until(is_so):
    while not is_so():
        time.sleep(0.05)  # between two looks; the test gives up after a minute

def all_wait():
    pids = [child.pid for child in supervisor._children]
    return all(pid and (home.path / f"waits-{pid}").exists() for pid in pids)

def watch():
    until(all_wait)
    victim = supervisor._children[2].pid
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(forks) == 5 and supervisor._children[2].pid != victim and all_wait())
    os.write(1, b"started again\\n")
    os.kill(os.getpid(), signal.SIGTERM)

def ready():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    threading.Thread(target=watch, daemon=True).start()

sys.exit(supervisor.run(on_ready=ready))
"""


def test_a_process_that_cannot_be_started_again_is_tried_later_and_the_others_go_on(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "home")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    lines = done.stdout.split("\n")
    assert done.returncode == 0, done.stderr
    assert lines[0] == "started again"
    assert sorted(lines[1:4]) == ["one drained", "three drained", "two drained"]
    assert "three could not be started: Resource temporarily unavailable" in done.stderr
