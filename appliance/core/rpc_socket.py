"""Socket: the unix sockets on which the processes of the box answer.

A socket is for the box's own user only (0600). The file that a dead process left is replaced; one that is
answered, or is no socket at all, is left alone (ConflictError). A path longer than the kernel's 107 octets
is reached through its open directory. Fails with ConfigError or NotRunningError in words.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import TYPE_CHECKING, Final

from appliance.core.errors import ConfigError, ConflictError, NotRunningError, PillarboxError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BACKLOG: Final = 512
_MAX_ADDRESS: Final = 107  # sun_path holds 108 octets with its closing NUL


def listen(path: Path) -> socket.socket:
    """A listening socket at the path, mode 0600."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address_of(path) as address:
            _remove_stale(path, address)
            listening.bind(address)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(f"{path}: {error.strerror or error}: cannot listen there") from error
    except PillarboxError:
        listening.close()
        raise
    return listening


def _remove_stale(path: Path, address: str) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConflictError(f"{path} is not a socket; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ConflictError(f"{path} is answered by another process; the box runs already")


@contextlib.contextmanager
def words_for_nobody_there(path: Path) -> Iterator[None]:
    """Turn what connecting can raise into NotRunningError."""
    try:
        yield
    except PermissionError as error:
        raise NotRunningError(
            f"{path}: permission denied; run this as the box's own user"
        ) from error
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError, ConfigError) as error:
        raise NotRunningError(
            f"nobody answers at {path}; start the box with `pillarbox serve`"
        ) from error


@contextlib.contextmanager
def address_of(path: Path) -> Iterator[str]:
    """The path as a socket address takes it, valid inside the block.

    A path that is too long is reached through its open directory, which /proc gives a short name.
    """
    if len(os.fsencode(path)) <= _MAX_ADDRESS:
        yield str(path)
        return
    try:
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigError(f"{path.parent}: {error.strerror}") from error
    try:
        short = f"/proc/self/fd/{directory}/{path.name}"
        if len(os.fsencode(short)) > _MAX_ADDRESS:
            raise ConfigError(f"{path.name}: the name is too long for a socket")
        yield short
    finally:
        os.close(directory)
