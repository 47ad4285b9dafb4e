"""Zone: the laboratory's DNS server as a process of its own, so that it shares no lock with anybody.

Reads {"zone": ..., "port": ...} as one line of JSON from standard input, then answers on loopback until
standard input ends: when its parent closes it, or dies.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING

from appliance.lab.dns_server import LabDns

if TYPE_CHECKING:
    from appliance.lab.dns_server import Zone


def start(zone: Zone, port: int) -> subprocess.Popen[bytes]:
    """Serve the zone on 127.0.0.1:port; close its standard input to end it."""
    process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(json.dumps({"zone": zone, "port": port}).encode() + b"\n")
    process.stdin.flush()
    return process


async def _serve(zone: Zone, port: int) -> None:
    server, ended = LabDns(zone), asyncio.Event()
    await server.start(port=port)
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    await ended.wait()
    await server.stop()


if __name__ == "__main__":
    asked = json.loads(sys.stdin.readline())
    asyncio.run(_serve(asked["zone"], asked["port"]))
