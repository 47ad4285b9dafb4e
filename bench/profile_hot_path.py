"""Where the mta process spends its time under the relay job: py-spy's samples, told as µs a message.

    sudo .venv/bin/python bench/profile_hot_path.py --size 4096 --sessions 20 --mode one

Starts this box as in production, sends without pause, and records one mta process for some seconds.
Each thread's CPU time (from /proc) is shared out over the samples in which it was at work, and divided by
the messages that went through; native code counts for the Python function that called it. A thread that
waits for the disk, or for a core, inside a call counts as at work there: on a busy machine sends and commits
look dearer than they are. --gil samples only who holds the interpreter's lock, which leaves Python itself.
py-spy needs root, or kernel.yama.ptrace_scope = 0. Nothing is left running.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.base import BenchError, tail
from relay.clients import Load, source
from relay.load import measure, sink
from relay.ours import Pillarbox
from relay.processes import TICKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MESSAGES: Final = 5000
_RATE: Final = 250
_THREAD: Final = re.compile(r"thread \((\d+)\): (.*)")
_LIBRARY: Final = re.compile(r"\([^()]*?/?(?:lib/python3\.\d+|site-packages)/")
_HERE: Final = str(Path(__file__).parents[1]) + "/"
_BELOW: Final = ("BaseEventLoop._run_once", "Thread.run")
"""What stands below these frames is the same in every stack."""


_PARTS: Final = {
    "(mta/submission/": "SMTP in",
    "(mta/intake": "admission: headers, sender, limits",
    "(mta/policy/": "admission: headers, sender, limits",
    "(appliance/suppressions/": "admission: headers, sender, limits",
    "(mta/spool/": "store",
    "(mta/signing/": "signatures",
    "(mta/transport/": "SMTP out",
    "(mta/scheduling/": "scheduling, shaping, outcome",
    "(mta/shaping/": "scheduling, shaping, outcome",
    "(mta/outcome/": "scheduling, shaping, outcome",
    "(mta/bounce/": "scheduling, shaping, outcome",
    "(appliance/run/observers": "counting and telling",
    "(appliance/core/metrics": "counting and telling",
    "(prometheus_client/": "counting and telling",
}
"""Of a message's way, by the innermost function of a stack that belongs to one."""

_LOOP: Final = "event loop (asyncio) itself"
_REST: Final = "all else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """One thread of the process, µs a message."""

    name: str
    user: float
    system: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where the CPU of one process went while messages went through, µs a message."""

    per_second: float
    samples: int
    threads: dict[int, Thread]
    own: dict[str, float]
    total: dict[str, float]  # with everything that it called
    parts: dict[str, float]  # of a message's way; they add up to all of it


def main() -> int:
    """Record and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--mode", choices=("one", "many"), default="one")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--top", type=int, default=25)
    parser.add_argument("--gil", action="store_true", help="only who holds the interpreter's lock")
    parser.add_argument("--work", default="/var/tmp", help="where to work: a real disk")
    parser.add_argument("--raw", type=Path, help="keep the collapsed stacks there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = Path(tempfile.mkdtemp(prefix="profile-", dir=options.work))
    box = Pillarbox(work)
    try:
        box.start()
        found = profile(box, options, work)
    except BenchError as error:
        print(f"profile_hot_path: {error}", file=sys.stderr)
        return 1
    finally:
        box.stop()
        shutil.rmtree(work, ignore_errors=True)
    show(found, options.top)
    return 0


def profile(box: Pillarbox, options: argparse.Namespace, work: Path) -> Profile:
    """Record one mta process under load. Raises BenchError."""
    load = Load(
        size=options.size,
        sessions=options.sessions,
        kept=options.mode == "many",
        messages=_MESSAGES,
    )
    warm = measure(box, Load(size=4096, sessions=20, kept=False, messages=300), limit=60, idle=0.0)
    if warm.error:
        raise BenchError(f"{warm.error}\n{tail(work / 'pillarbox.log')}")
    pid, raw = box.parts()["mta-0"], options.raw or work / "stacks"
    with sink(box.sink_port) as taken, _endless(box, load):
        time.sleep(1)
        count, before, started = taken.count(), thread_ticks(pid), time.monotonic()
        record(pid, raw, options)
        seconds, after = time.monotonic() - started, thread_ticks(pid)
        messages = taken.count() - count
    if not messages:
        raise BenchError(f"no message went through\n{tail(work / 'pillarbox.log')}")
    used = {
        thread: [
            (now - then) / TICKS / messages * 1e6 for now, then in zip(ticks, old, strict=True)
        ]
        for thread, ticks in after.items()
        if (old := before.get(thread))
    }
    return counted(raw.read_text().splitlines(), used, messages / seconds)


def thread_ticks(pid: int) -> dict[int, tuple[int, int]]:
    """User and system ticks of each thread."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[int(task.name)] = (int(fields[11]), int(fields[12]))
    return found


@contextlib.contextmanager
def _endless(box: Pillarbox, load: Load) -> Iterator[None]:
    """One smtp-source after another while the block lasts."""
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            client = source(box, load)
            while client.poll() is None and not stop.wait(0.05):
                pass
            if client.poll() is None:
                client.kill()
            client.communicate()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def record(pid: int, raw: Path, options: argparse.Namespace) -> None:
    """Collapsed stacks of the process, by function. Raises BenchError."""
    command = [Path(sys.executable).with_name("py-spy"), "record", "--format", "raw", "--function"]
    command += ["--threads", "--rate", str(_RATE), "--duration", str(options.seconds)]
    command += ["--pid", str(pid), "--output", raw, *(["--gil"] if options.gil else [])]
    done = subprocess.run(command, capture_output=True, check=False, timeout=options.seconds + 60)
    if done.returncode:
        raise BenchError(f"py-spy: {done.stderr.decode('utf-8', 'replace')[-500:]}")


def counted(lines: Iterable[str], used: dict[int, list[float]], per_second: float) -> Profile:
    """The threads' CPU over their samples; a function that calls itself counts once a stack."""
    stacks: list[tuple[int, list[str], int]] = []
    samples, threads = Counter[int](), dict[int, Thread]()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        found = _THREAD.match(thread)
        if found is None or not frames or int(found[1]) not in used:
            continue
        number = int(found[1])
        user, system = used[number]
        threads.setdefault(number, Thread(name=found[2], user=user, system=system))
        samples[number] += int(count)
        stacks.append((number, _above(frames), int(count)))
    own, total = defaultdict[str, float](float), defaultdict[str, float](float)
    parts = defaultdict[str, float](float)
    for number, frames, count in stacks:
        weight = count / samples[number] * sum(used[number])
        own[frames[-1]] += weight
        parts[part_of(frames)] += weight
        for name in set(frames):
            total[name] += weight
    return Profile(
        per_second=per_second,
        samples=samples.total(),
        threads=threads,
        own=own,
        total=total,
        parts=parts,
    )


def part_of(frames: list[str]) -> str:
    """To which part of a message's way a stack belongs."""
    for frame in reversed(frames):
        for place, part in _PARTS.items():
            if place in frame:
                return part
    return _LOOP if any("(asyncio/" in frame for frame in frames) else _REST


def _above(frames: list[str]) -> list[str]:
    names = [_LIBRARY.sub("(", frame).replace(_HERE, "") for frame in frames]
    for place in range(len(names) - 1, -1, -1):
        if names[place].startswith(_BELOW):
            return names[place:]
    return names


def show(found: Profile, top: int) -> None:
    """Threads, then functions by what they take themselves, then with what they call."""
    cpu = sum(thread.user + thread.system for thread in found.threads.values())
    print(f"{found.per_second:.0f} messages/s, {cpu:.0f} µs of CPU each, {found.samples} samples")
    print("\n  user  system  µs/msg  thread")
    for thread in found.threads.values():
        both = thread.user + thread.system
        print(f"{thread.user:6.0f}  {thread.system:6.0f}  {both:6.0f}  {thread.name}")
    titles = {"part": found.parts, "self": found.own, "with what it calls": found.total}
    for title, counts in titles.items():
        print(f"\n share  µs/msg  {title}")
        for name, took in sorted(counts.items(), key=lambda item: -item[1])[:top]:
            print(f"{took / cpu:6.1%}  {took:6.0f}  {name}")


if __name__ == "__main__":
    sys.exit(main())
