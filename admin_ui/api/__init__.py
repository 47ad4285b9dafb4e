"""The HTTP API under /api/v1: one file a noun, each a thin face of its room.

guard.py     who asks, with which right, and how often       rates.py   how often
openapi.py   the description, with an example each           docs.py    the same for people
strangers.py what goes into a tenant's audit log of requests that were refused
nouns.py     ids, names and pages of the box's things
shapes.py    what every noun's answers have in common
"""
