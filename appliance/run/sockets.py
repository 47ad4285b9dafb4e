"""Listening sockets: opened once by the supervisor, inherited by the processes.

A process that is restarted finds its socket open all along, so that no connection is refused
meanwhile. Port 0 lets the system choose; the choice is written to `run/listeners.json`, where the
command line and the laboratory read it.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import msgspec

from appliance.core.errors import ConfigError, NotRunningError

if TYPE_CHECKING:
    from appliance.core.home import Home
    from appliance.core.settings import Listener, Settings

BACKLOG = 1024
NAMES = ("submission", "submissions", "inbound", "web")


def open_all(settings: Settings) -> dict[str, socket.socket]:
    """Open the listeners that are switched on. Raises ConfigError naming the option to change."""
    wanted = {name: getattr(settings.listeners, name) for name in NAMES}
    return {name: _open(name, listener) for name, listener in wanted.items() if listener.address}


def publish(home: Home, sockets: dict[str, socket.socket]) -> None:
    """Tell others where the box listens: all of it at once, for they look while it is written."""
    places = {name: list(sock.getsockname()[:2]) for name, sock in sockets.items()}
    draft = home.run_dir / "listeners.draft"
    draft.write_bytes(msgspec.json.encode(places))
    draft.replace(home.run_dir / "listeners.json")


def published(home: Home) -> dict[str, tuple[str, int]]:
    """Where the running box listens; raises NotRunningError when it does not run."""
    path = home.run_dir / "listeners.json"
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[str, int]])
    except FileNotFoundError:
        raise NotRunningError(
            f"the box at {home.path} does not run: start it with `pillarbox serve`"
        ) from None
    return {name: (_reachable(address), port) for name, (address, port) in found.items()}


def place_of(sock: socket.socket | None) -> tuple[str, int]:
    """Where this machine reaches a listener of its own; port 25 here when it has none."""
    if sock is None:
        return "127.0.0.1", 25
    address, port = sock.getsockname()[:2]
    return _reachable(address), port


def _reachable(address: str) -> str:
    return {"::": "::1", "0.0.0.0": "127.0.0.1"}.get(address, address)  # noqa: S104 - compared only


def _open(name: str, listener: Listener) -> socket.socket:
    family = socket.AF_INET6 if ":" in listener.address else socket.AF_INET
    address = listener.address
    if address == "::" and not _has_ipv6():
        family, address = socket.AF_INET, "0.0.0.0"  # noqa: S104 - the administrator asked for all
    # With the protocol named, asyncio sends small answers at once (TCP_NODELAY) and not 40 ms later.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((address, listener.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(_words(name, listener, error)) from error
    sock.settimeout(0)
    return sock


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def _words(name: str, listener: Listener, error: OSError) -> str:
    place = f"listeners.{name} ({listener.address} port {listener.port})"
    if error.errno == errno.EADDRINUSE:
        return f"{place}: another program listens there: stop it or choose another port"
    if error.errno == errno.EACCES:
        return (
            f"{place}: ports below 1024 need root or CAP_NET_BIND_SERVICE: use the systemd unit, "
            "or choose another port"
        )
    return f"{place}: {error.strerror}: choose an address of this machine"
