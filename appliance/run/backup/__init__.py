"""Backup: the whole box in one folder of sealed files, made while it runs, and put back on an empty machine.

    archive.py    the folder: its header, its sealed manifest, its files
    keys.py       passphrase or key file
    make.py       a backup of the box as it runs, or stands, of
    files.py        its files,
    databases.py    its databases,
    late.py         and what happened between their copies
    verify.py     every file opened, and every database looked at
    restore.py    a box from a backup
    schedule.py   the worker's own backups ([backup])

What a backup promises: every message and every notice that was acknowledged before it began, and had not
ended, is in it with all its recipients; so are the records, the keys, the configuration and the log. What
happens while it is made may be in it or not. Restored, the box sends what waits by the spools, by their
outboxes as they were after that, *and* by the log of the backup: sent twice is only what the old box
delivered after the backup had begun to read its log. What a damaged day of the log knew is not known.
"""

from __future__ import annotations
