"""What may be paused."""

from __future__ import annotations

import pytest

from appliance.core.errors import UsageError
from appliance.operations import Target
from appliance.operations.rules import checked_target, describe


def test_a_pause_of_everything_is_the_kill_switchs_work():
    with pytest.raises(UsageError, match="kill-switch"):
        checked_target(Target())


def test_domains_are_compared_as_lower_case_a_labels():
    assert checked_target(Target(domain="Bücher.Example.")).domain == "xn--bcher-kva.example"


def test_a_name_that_is_no_domain_is_refused():
    with pytest.raises(UsageError, match="no domain name"):
        checked_target(Target(domain="a..ü"))


def test_the_audit_log_says_what_was_paused():
    assert (
        describe(Target(tenant_id=3, domain="example.com"))
        == "pause of tenant 3, domain example.com"
    )
