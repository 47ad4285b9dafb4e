"""Notifications: who is told of a notice, and how: in the console's feed, by mail, or not at all.

Notices (appliance/notices) are facts that stand until they are over. This room knows the kinds of them, what
each person chose, how far each has looked, and which notices have been mailed. It finds nothing itself.
"""

from __future__ import annotations

from appliance.notifications.mailer import Mailer, Post
from appliance.notifications.marks import MARKS
from appliance.notifications.model import Choice, Entry, Feed, Kind
from appliance.notifications.rules import KINDS, kind_of, letter_of
from appliance.notifications.service import Notifications

__all__ = [
    "KINDS",
    "MARKS",
    "Choice",
    "Entry",
    "Feed",
    "Kind",
    "Mailer",
    "Notifications",
    "Post",
    "kind_of",
    "letter_of",
]
