from __future__ import annotations

import tomllib

from appliance.run.cli.init import config_text


def test_only_the_host_name_is_set_and_everything_else_is_there_to_be_uncommented():
    text = config_text("mail.example.com")
    tables = tomllib.loads(text)
    assert tables["box"] == {"hostname": "mail.example.com"}
    assert all(
        not table or set(table) <= {"smarthost", "submission", "submissions", "inbound", "web"}
        for name, table in tables.items()
        if name != "box"
    )
    assert "\n#remote_port = 25\n" in text
    assert "generated from" not in text


def test_an_option_that_is_uncommented_is_valid():
    text = config_text("mail.example.com").replace("#remote_port = 25", "remote_port = 2525")
    assert tomllib.loads(text)["delivery"] == {"remote_port": 2525, "smarthost": {}}
