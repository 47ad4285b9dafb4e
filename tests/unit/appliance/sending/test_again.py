"""A message is sent again with the bytes and the headers of then, and to nobody whom it was not for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.core.errors import ConflictError, UsageError
from appliance.sending import Kept, KeptRecipient
from appliance.sending.again import again
from mta.policy.controls import MAX_TAGS, read_controls
from mta.policy.headers import scan
from mta.status import Status, TrafficClass

CONTENT = b"Received: by box\r\nFrom: a@shop.test\r\nSubject: hi\r\n\r\nbody \xff\r\n"
KEPT = Kept(
    id=5,
    tenant_id=3,
    sender="a@shop.test",
    smtputf8=False,
    body_8bit=True,
    traffic_class=TrafficClass.BULK,
    tags=("order",),
    metadata='{"größe": "1234"}',
    recipients=(
        KeptRecipient(address="Gone@good.test", status=Status.BOUNCED),
        KeptRecipient(address="old@good.test", status=Status.EXPIRED),
        KeptRecipient(address="fine@good.test", status=Status.DELIVERED),
        KeptRecipient(address="late@good.test", status=Status.DELIVERED, bounced_late=True),
        KeptRecipient(address="waits@good.test", status=Status.DEFERRED),
        KeptRecipient(address="listed@good.test", status=Status.SUPPRESSED),
        KeptRecipient(address="taken@good.test", status=Status.CANCELLED),
    ),
    content=CONTENT,
)


def test_it_goes_to_all_that_failed_with_the_same_bytes():
    made = again(KEPT)
    assert made.recipients == ("Gone@good.test", "old@good.test", "late@good.test")
    assert made.data.endswith(CONTENT)
    assert (made.sender, made.smtputf8, made.body_8bit) == ("a@shop.test", False, True)


def test_class_tags_and_metadata_are_those_of_then():
    found = read_controls(scan(again(KEPT, key="k").data, allow_8bit=False), now_ms=0)
    assert (found.traffic_class, found.tags) == (TrafficClass.BULK, ("order",))
    assert found.metadata.replace(" ", "") == '{"gr\\u00f6\\u00dfe":"1234"}'
    assert found.idempotency_key == "k"


def test_tags_that_a_credential_added_do_not_keep_it_from_going():
    kept = replace(KEPT, tags=tuple(f"t{n}" for n in range(MAX_TAGS + 3)))
    found = read_controls(scan(again(kept).data, allow_8bit=False), now_ms=0)
    assert len(found.tags) == MAX_TAGS


def test_who_is_named_gets_it_once_whether_it_arrived_or_not():
    wanted = ("gone@GOOD.test", " fine@good.test", "Gone@good.test")
    assert again(KEPT, wanted).recipients == ("Gone@good.test", "fine@good.test")


def test_nobody_gets_what_was_not_for_them():
    with pytest.raises(UsageError) as error:
        again(KEPT, ("fine@good.test", "spy@evil.test"))
    assert error.value.field == "recipients[1]"


def test_who_still_waits_gets_it_from_the_queue():
    with pytest.raises(ConflictError, match="retry it"):
        again(KEPT, ("waits@good.test",))


def test_what_failed_for_nobody_wants_names():
    fine = tuple(one for one in KEPT.recipients if not one.has_failed)
    with pytest.raises(ConflictError, match="name in recipients"):
        again(replace(KEPT, recipients=fine))
