"""Where a box listens: whoever looks finds all of it, or nothing yet."""

from __future__ import annotations

import socket
import threading

import pytest

from appliance.core.errors import NotRunningError
from appliance.core.home import Home
from appliance.run.sockets import publish, published


def test_before_it_is_told_the_box_does_not_run(tmp_path):
    with pytest.raises(NotRunningError, match="start it with `pillarbox serve`"):
        published(Home(tmp_path))


def test_whoever_looks_while_it_is_written_reads_the_whole(tmp_path):
    home, done = Home(tmp_path), threading.Event()
    home.run_dir.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        places = {"submission": sock.getsockname()}
        publish(home, {"submission": sock})

        def tell():
            while not done.is_set():
                publish(home, {"submission": sock})

        teller = threading.Thread(target=tell)
        teller.start()
        try:
            assert all(published(home) == places for _ in range(3000))
        finally:
            done.set()
            teller.join()
