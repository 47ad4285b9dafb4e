"""Single sign-on against an issuer that lies when told to."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pyotp
import pytest

from appliance.core import clock
from appliance.core.errors import NotFoundError, SignInError
from appliance.people import Opened, Provider, SecondFactorNeeded
from appliance.people.issuer import MOST_OCTETS
from tests.support.issuer import CLIENT_ID, CLIENT_SECRET, TestIssuer, new_key
from tests.support.people import HERE, PASSWORD, SYSTEM, URL, People

CALLBACK = f"{URL}/api/v1/sign-in/oidc/acme/callback"


@pytest.fixture
def control_location(migrated_file, tmp_path):
    """One database does here: what the store must keep to is tried beside this file on both."""
    return Path(shutil.copy(migrated_file, tmp_path / "control.db"))


@pytest.fixture
async def issuer(now):
    async with TestIssuer() as started:
        started.now = now.at // 1000
        yield started


@pytest.fixture
async def people(engine, now, issuer):
    """A box where Ada is a member, and may come from the issuer."""
    provider = Provider(
        name="acme", issuer=issuer.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET
    )
    made = People(engine, now, providers=(provider,))
    acme = await made.tenant("acme")
    await made.member("ada@acme.example", "owner", acme.id)
    return made


async def come(people, issuer, **changes):
    """A browser goes there and comes back."""
    departure = await people.desk.single_sign_on.depart("acme", HERE)
    given = {
        "ticket": departure.ticket,
        "state": issuer.consent(departure.url),
        "code": "a code",
        **changes,
    }
    return await people.desk.single_sign_on.arrive("acme", HERE, **given)


async def refused(people, issuer, caplog, why):
    caplog.clear()
    with caplog.at_level(logging.WARNING), pytest.raises(SignInError, match="did not let you in"):
        await come(people, issuer)
    assert why in caplog.text


async def test_who_is_known_comes_in_and_discovery_is_asked_once(people, issuer):
    departure = await people.desk.single_sign_on.depart("acme", HERE)
    assert departure.url.startswith(f"{issuer.url}/authorize?response_type=code&client_id=box&")
    opened = await come(people, issuer)
    assert (await people.desk.sessions.actor_of(opened.token)).name == "ada@acme.example"
    await come(people, issuer)
    assert issuer.asked.count("GET /.well-known/openid-configuration") == 1
    assert issuer.asked.count("GET /keys") == 1
    assert people.desk.single_sign_on.names == ("acme",)
    assert people.desk.single_sign_on.callback_url("acme") == CALLBACK
    with pytest.raises(NotFoundError):
        await people.desk.single_sign_on.depart("other", HERE)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"aud": "somebody else"}, "aud"),
        ({"aud": ["somebody else", "box"], "azp": "somebody else"}, "azp"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"iat": 9_999_999_999}, "future"),
        ({"email_verified": False}, "not verified"),
        ({"email_verified": None}, "not verified"),
        ({"email_verified": "no"}, "not verified"),
    ],
    ids=str,
)
async def test_a_token_that_is_not_all_right_is_refused(people, issuer, caplog, claims, why):
    issuer.claims = claims
    await refused(people, issuer, caplog, why)


async def test_a_token_that_nobody_signed_or_with_a_wrong_key_is_refused(people, issuer, caplog):
    issuer.algorithm = "none"
    await refused(people, issuer, caplog, "not to be believed")
    issuer.algorithm = "HS256"
    await refused(people, issuer, caplog, "not to be believed")
    issuer.algorithm, issuer.key = "RS256", new_key("two")
    await refused(people, issuer, caplog, "not to be believed")


async def test_a_new_key_of_the_issuer_is_fetched_but_not_for_every_lie(
    people, issuer, caplog, now
):
    await come(people, issuer)
    fresh = new_key("two")
    issuer.published, issuer.key, issuer.header = [fresh], fresh, {"kid": "two"}
    await refused(people, issuer, caplog, "not to be believed")
    assert issuer.asked.count("GET /keys") == 1
    now.move(clock.MINUTE)
    assert isinstance(await come(people, issuer), Opened)
    assert issuer.asked.count("GET /keys") == 2


async def test_strangers_do_not_come_in_and_invited_ones_do(people, issuer):
    issuer.claims = {"email": "Eve@Acme.example", "name": "Eve\r\nBcc: x"}
    with pytest.raises(SignInError, match="did not let you in"):
        await come(people, issuer)
    acme = (await people.desk.users.find(SYSTEM, "ada@acme.example")).memberships[0].tenant_id
    await people.desk.invitations.link(
        SYSTEM, email="eve@acme.example", role="viewer", tenant_id=acme
    )
    opened = await come(people, issuer)
    assert (await people.desk.sessions.actor_of(opened.token)).scope.tenant_id == acme
    eve = await people.desk.users.find(SYSTEM, "eve@acme.example")
    assert (eve.name, eve.has_password) == ("Eve Bcc: x", False)
    assert await people.desk.invitations.list(SYSTEM) == ()
    await people.desk.users.disable(SYSTEM, eve.id)
    with pytest.raises(SignInError, match="did not let you in"):
        await come(people, issuer)


async def test_nobody_is_signed_in_with_somebody_elses_return(people, issuer, now):
    for changes in ({"state": "guessed"}, {"ticket": "of nobody"}, {"code": "another"}):
        with pytest.raises(SignInError):
            await come(people, issuer, **changes)
    mine = await people.desk.single_sign_on.depart("acme", HERE)
    evil = await people.desk.single_sign_on.depart("acme", HERE)
    state = issuer.consent(evil.url)
    with pytest.raises(SignInError):  # the attacker's return, in the victim's browser
        await people.desk.single_sign_on.arrive(
            "acme", HERE, ticket=mine.ticket, state=state, code="a code"
        )
    departure = await people.desk.single_sign_on.depart("acme", HERE)
    given = {"ticket": departure.ticket, "state": issuer.consent(departure.url), "code": "a code"}
    assert isinstance(await people.desk.single_sign_on.arrive("acme", HERE, **given), Opened)
    with pytest.raises(SignInError, match="begin anew"):
        await people.desk.single_sign_on.arrive("acme", HERE, **given)
    late = await people.desk.single_sign_on.depart("acme", HERE)
    now.move(15 * clock.MINUTE)
    with pytest.raises(SignInError, match="begin anew"):
        await people.desk.single_sign_on.arrive(
            "acme", HERE, ticket=late.ticket, state=issuer.consent(late.url), code="a code"
        )


async def test_a_second_factor_that_was_set_up_here_is_asked_for_all_the_same(people, issuer, now):
    ada = await people.desk.sessions.seen((await people.sign_in("ada@acme.example")).token)
    new = await people.desk.account.begin_second_factor(ada, HERE, password=PASSWORD)
    totp = pyotp.TOTP(new.secret)
    await people.desk.account.confirm_second_factor(ada, new.ticket, totp.at(now.at // 1000))
    needed = await come(people, issuer)
    assert isinstance(needed, SecondFactorNeeded)
    now.move(clock.MINUTE)
    code = totp.at(now.at // 1000)
    assert isinstance(await people.desk.sign_in.with_code(needed.ticket, code, HERE), Opened)


async def test_an_address_is_believed_where_the_issuer_says_so_in_its_own_way(
    engine, now, people, issuer
):
    issuer.claims = {"email_verified": None, "xms_edov": "1"}
    assert isinstance(await come(people, issuer), Opened)
    trusted = Provider(
        name="acme",
        issuer=issuer.url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        trusts_email=True,
    )
    issuer.claims = {"email_verified": None}
    assert isinstance(await come(People(engine, now, providers=(trusted,)), issuer), Opened)


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"{}"),
        (302, b"{}"),
        (200, b"no JSON"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b"{" + b" " * MOST_OCTETS + b"}"),
        (200, b'{"issuer": "https://evil.example"}'),
    ],
    ids=["500", "redirect", "text", "list", "empty", "huge", "another"],
)
async def test_an_issuer_that_answers_nonsense_is_said_to_be_away(people, issuer, answer):
    issuer.answers["/.well-known/openid-configuration"] = answer
    with pytest.raises(SignInError, match="does not answer as it should"):
        await people.desk.single_sign_on.depart("acme", HERE)
    assert "GET /elsewhere" not in issuer.asked


async def test_an_issuer_leads_to_no_plain_http_elsewhere(people, issuer):
    found = {
        "issuer": issuer.url,
        "authorization_endpoint": f"{issuer.url}/authorize",
        "token_endpoint": "http://evil.example/token",
        "jwks_uri": "file:///etc/passwd",
    }
    path = "/.well-known/openid-configuration"
    issuer.answers[path] = (200, json.dumps(found).encode())
    with pytest.raises(SignInError):
        await people.desk.single_sign_on.depart("acme", HERE)


@pytest.mark.parametrize("path", ["/token", "/keys"])
async def test_a_broken_token_or_key_endpoint_lets_nobody_in(people, issuer, caplog, path):
    for answer in ((500, b"{}"), (200, b"{}"), (200, b'{"keys": [{"kty": "oct", "k": "AAAA"}]}')):
        issuer.answers[path] = answer
        with pytest.raises(SignInError, match="did not let you in"):
            await come(people, issuer)
