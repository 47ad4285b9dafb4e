"""People: who may come in, how they prove who they are, and what they are to the box and its tenants.

`appliance.people.desk`, the door of its own for who lets people in, puts the room together for a process (what
it imports for passkeys and single sign-on takes 10 MB, which the worker does not need); the desk's `sessions.actor_of(token)` says at every request
on whose behalf it is done. Passwords, codes, links and tokens are stored as hashes, secrets sealed. Whoever
fails to sign in is told one and the same thing.
"""

from __future__ import annotations

from appliance.people.first_admin import FirstAdmin, first_admin_link
from appliance.people.forgetting import tidy
from appliance.people.invitations import Invitations
from appliance.people.letters import Letters
from appliance.people.model import (
    Client,
    Departure,
    Invitation,
    Membership,
    NewSecondFactor,
    Opened,
    Options,
    PasskeyOptions,
    PasskeyRecord,
    PeopleCounts,
    Provider,
    SecondFactorNeeded,
    Seen,
    SessionRecord,
    SignedIn,
    User,
)
from appliance.people.password_links import PasswordLinks
from appliance.people.service import Users
from appliance.people.sessions import Sessions

__all__ = [
    "Client",
    "Departure",
    "FirstAdmin",
    "Invitation",
    "Invitations",
    "Letters",
    "Membership",
    "NewSecondFactor",
    "Opened",
    "Options",
    "PasskeyOptions",
    "PasskeyRecord",
    "PasswordLinks",
    "PeopleCounts",
    "Provider",
    "SecondFactorNeeded",
    "Seen",
    "SessionRecord",
    "Sessions",
    "SignedIn",
    "User",
    "Users",
    "first_admin_link",
    "tidy",
]
