"""Credentials: the SMTP logins of tenants, what each may do, and their rotation without downtime.

A credential holds the policy and keeps its id for life; its logins (user name, keyed hash of the
password) come and go. While it is rotated it has two: the new one, and the old until its overlap ends.
Passwords are made here, shown once and never stored.
"""

from __future__ import annotations

from appliance.credentials.marks import MARKS
from appliance.credentials.model import CredentialRecord, Door, IssuedLogin, Login, Policy, Use
from appliance.credentials.rates import hour_of
from appliance.credentials.rules import entries
from appliance.credentials.service import Credentials
from appliance.credentials.tries import Trial, Tries, Try

__all__ = [
    "MARKS",
    "CredentialRecord",
    "Credentials",
    "Door",
    "IssuedLogin",
    "Login",
    "Policy",
    "Trial",
    "Tries",
    "Try",
    "Use",
    "entries",
    "hour_of",
]
