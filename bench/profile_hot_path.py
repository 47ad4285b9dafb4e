"""Where the mta process spends its time under the relay job: py-spy's samples, told as µs a message.

    sudo .venv/bin/python bench/profile_hot_path.py --size 4096 --sessions 20 --mode one

Starts this box as in production, sends without pause, and records one mta process for some seconds.
Shares are of samples in which a thread was at work (native code counts for the Python function that
called it), µs are shares of the process's CPU time, divided by the messages that went through. Sampling
takes some CPU itself. Threads are told apart; --gil counts only who holds the interpreter's lock.
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
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.base import BenchError, tail
from relay.load import Load, measure, sink, source
from relay.ours import Pillarbox
from relay.processes import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MESSAGES: Final = 5000
_RATE: Final = 250
_THREAD: Final = re.compile(r"^thread \([^)]*\): ?")
_LIBRARY: Final = re.compile(r"\([^()]*?/?(?:lib/python3\.\d+|site-packages)/")
_HERE: Final = str(Path(__file__).parents[1]) + "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Samples of one process while messages went through."""

    samples: int
    own: Counter[str]
    total: Counter[str]  # with everything that it called
    threads: Counter[str]
    cpu_us: float  # a message
    per_second: float


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
        before, cpu, started = taken.count(), cpu_seconds([pid]), time.monotonic()
        record(pid, raw, options)
        seconds = time.monotonic() - started
        messages, cpu = taken.count() - before, cpu_seconds([pid]) - cpu
    if not messages:
        raise BenchError(f"no message went through\n{tail(work / 'pillarbox.log')}")
    return counted(raw.read_text().splitlines(), cpu / messages * 1e6, messages / seconds)


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


def counted(lines: Iterable[str], cpu_us: float, per_second: float) -> Profile:
    """Sums over collapsed stacks; a function that calls itself counts once a stack."""
    own, total, threads = Counter[str](), Counter[str](), Counter[str]()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        names = [_short(frame) for frame in frames]
        if not names:
            continue
        threads[_THREAD.sub("", thread)] += int(count)
        own[names[-1]] += int(count)
        for name in set(names):
            total[name] += int(count)
    return Profile(
        samples=own.total(),
        own=own,
        total=total,
        threads=threads,
        cpu_us=cpu_us,
        per_second=per_second,
    )


def _short(frame: str) -> str:
    return _LIBRARY.sub("(", frame).replace(_HERE, "")


def show(found: Profile, top: int) -> None:
    """Three tables."""
    print(
        f"{found.per_second:.0f} messages/s, {found.cpu_us:.0f} µs of CPU a message,"
        f" {found.samples} samples"
    )
    _table("threads", found.threads, found, top)
    _table("self", found.own, found, top)
    _table("with what it calls", found.total, found, top)


def _table(title: str, counts: Counter[str], found: Profile, top: int) -> None:
    print(f"\n{title:>6}\n share  µs/msg  function")
    for name, count in counts.most_common(top):
        share = count / found.samples
        print(f"{share:6.1%}  {share * found.cpu_us:6.0f}  {name}")


if __name__ == "__main__":
    sys.exit(main())
