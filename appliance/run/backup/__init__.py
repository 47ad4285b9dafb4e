"""Backup: the whole box in one folder of sealed files, made while it runs, and put back on an empty machine.

    archive.py    the folder: its header, its sealed manifest, its files
    keys.py       passphrase or key file
    make.py       a backup of the box as it runs, or stands
    verify.py     every file opened, and every database looked at
    restore.py    a box from a backup
    schedule.py   the worker's own backups ([backup])

What a backup promises: every message that was acknowledged before it began, and had not ended, is in it
with all its recipients; so are the records, the keys, the configuration and the log. What happens while
it is made may be in it or not. Restored, the box sends what waits by the spools *and* by the log of the
backup, which is copied last: sent twice is only what the old box delivered after that, which is the time
between the backup's end and the old box's.
"""

from __future__ import annotations
