"""What stood together in a lane and leaves it unsent: everybody goes where their own domain leads by then."""

from __future__ import annotations

from appliance.lab.receiver import Receiver
from mta.message import Egress, ReturnPathMode
from mta.reply import Reply
from mta.scheduling.operations import Action
from mta.shaping.book import parse_book
from mta.spool.questions import QueueFilter
from mta.transport.base import RouteError
from tests.support.submissions import credential
from tests.support.way import FAST, egress_plan, open_way, site_on, until

SHARED = credential(return_path_mode=ReturnPathMode.MESSAGE, dsn=False)
PEOPLE = ("a@one.example", "b@two.example")
GONE = RouteError(Reply(550, "5.1.2", "the domain does not exist"))


async def together(way):
    """One message to two domains of one site, in one parcel of the only lane."""
    way.sender._places._most = 0
    number = await way.send(credential=SHARED, recipients=PEOPLE)
    await until(lambda: sum(len(lane) for lane in way.dispatcher.lanes) == 1)
    [lane] = way.dispatcher.lanes
    return number, lane


def plan_anew(way, lane):
    """As when nobody answers; what DNS said has run out."""
    way.dispatcher.sites._sites.clear()
    way.dispatcher.vacate(lane)
    way.sender._places._most = 8
    way.sender.rouse_all()


async def ended(way, number):
    return not {"queued", "deferred"} & set(await way.statuses(number))


async def test_nobody_bounces_because_another_domain_of_the_transaction_is_gone(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        number, lane = await together(way)
        way.router.special["one.example"] = GONE
        plan_anew(way, lane)
        await until(lambda: ended(way, number))
        assert await way.statuses(number) == ["bounced", "delivered"]
        assert [message.recipients for message in mx.messages] == [("b@two.example",)]
        await until(lambda: way.dispatcher.in_memory == 0)


async def test_nobody_s_mail_goes_to_the_new_host_of_another_domain(tmp_path):
    async with Receiver() as mx, Receiver() as new, open_way(tmp_path, mx.port) as way:
        number, lane = await together(way)
        way.router.special["one.example"] = site_on(new.port, "mx.elsewhere")
        plan_anew(way, lane)
        await until(lambda: ended(way, number))
        assert [message.recipients for message in new.messages] == [("a@one.example",)]
        assert [message.recipients for message in mx.messages] == [("b@two.example",)]


async def test_who_is_left_of_a_transaction_goes_by_its_own_domain(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        number, lane = await together(way)
        first = QueueFilter(message_id=number, address="a@one.example")
        assert (await way.operations.act(Action.CANCEL, first, by="ann")).changed == 1
        way.router.special["one.example"] = GONE
        plan_anew(way, lane)
        await until(lambda: ended(way, number))
        assert await way.statuses(number) == ["cancelled", "delivered"]


async def test_domains_that_still_share_a_site_still_share_the_transaction(tmp_path):
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        number, lane = await together(way)
        way.dispatcher.vacate(lane)
        plan_anew(way, lane)
        await until(lambda: ended(way, number))
        assert sum(len(message.recipients) for message in mx.messages) == 2
        assert mx.count <= 2


async def test_lanes_whose_receiver_got_a_name_are_retired_once_and_lose_no_mail(tmp_path):
    """Planning the mail of the first lane anew retires the second, and gives it a successor."""
    addresses = [Egress(name=f"out{n}", address="", helo="x.lab", ipv6=False) for n in (1, 2)]
    named = parse_book(FAST + '\n[provider.lab]\ntitle = "Lab"\nmx = [".lab"]\n', "test")
    async with Receiver() as mx, open_way(tmp_path, mx.port) as way:
        way.change(egress=egress_plan(*addresses))
        way.sender._places._most = 0
        for _ in range(30):
            await way.send()
        await until(lambda: sum(len(lane) for lane in way.dispatcher.lanes) == 30)
        old = list(way.dispatcher.lanes)
        assert len(old) == 2
        way.regulator.book = lambda: named
        way.dispatcher.reshaped()
        new = list(way.dispatcher.lanes)
        assert sum(len(lane) for lane in new) == 30
        assert sorted((lane.egress.name, lane.zone.key) for lane in new) == [
            ("out1", "lab"),
            ("out2", "lab"),
        ]
        assert [lane.flow.lanes for lane in (*old, *new)] == [0, 0, 1, 1]
        way.sender._places._most = 8
        way.sender.rouse_all()
        await until(lambda: mx.count == 30)
        await until(lambda: way.dispatcher.in_memory == 0)
