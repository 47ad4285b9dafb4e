"""The console: pages for people, made on the box, for browsers with and without scripts.

    guard.py   who asks, may they, does the form come from a page of ours -> Visit
    visit.py   one request of somebody who is signed in: renders pages, answers forms
    form.py    what a form brought, checked field by field
    stage.py   the templates with what they all need (icons, assets, words for times and numbers)
    nav.py     the navigation, as data
    <noun>.py  the pages of a noun, on the same rooms as admin_ui/api/<noun>.py

Pages have no rule of their own: what may be done and what is wrong say the rooms.
"""

from __future__ import annotations
