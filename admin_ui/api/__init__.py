"""The HTTP API under /api/v1: one file a noun, each a thin face of its room.

guard.py     who asks, with which right, and how often       rates.py   how often
openapi.py   the description, with an example each           docs.py    the same for people
shapes.py    what every noun's answers have in common
"""
