"""A home is served by one box: until the last of its processes has ended, whatever became of the first."""

from __future__ import annotations

import os
import select

import pytest

from appliance.core.errors import ConflictError
from appliance.core.home import Home
from appliance.run.one_box import claim


def is_claimed(home: Home) -> bool:
    """Asked by a process of its own: what it claims goes with it."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    try:
        claim(home)
    except ConflictError:
        os._exit(1)
    os._exit(0)


def supervisor_with_a_child(home: Home) -> tuple[int, int]:
    """Its pid, and the end of a pipe that its child waits for."""
    told, tell = os.pipe()
    ready, get_ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        claim(home)
        os.close(tell)
        if os.fork() == 0:
            os.write(get_ready, b"x")
            os.read(told, 1)
            os._exit(0)
        select.select([], [], [])  # until it is killed
    os.read(ready, 1)
    for end in (told, ready, get_ready):
        os.close(end)
    return pid, tell


def test_a_home_is_claimed_until_the_last_process_of_its_box_has_ended(tmp_path):
    home = Home(tmp_path)
    home.create()
    assert not is_claimed(home)
    pid, tell = supervisor_with_a_child(home)
    assert is_claimed(home)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    assert is_claimed(home), "its child lives"
    os.close(tell)
    while is_claimed(home):
        pass


def test_the_words_name_the_home(tmp_path):
    home = Home(tmp_path)
    home.create()
    claim(home)
    with pytest.raises(ConflictError, match=f"the box in {tmp_path} runs already"):
        claim(home)
