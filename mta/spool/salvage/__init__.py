"""Salvage: what can still be read of a damaged SQLite spool, put into a new one; nothing else is lost.

    wal.py       which pages the write-ahead log holds, frame by frame
    cells.py     rows in a page of the file format, and their overflow pages    pure
    pages.py     the damaged file as numbered pages, log included
    walk.py      which pages are reachable, free, or belong to nobody any more
    shapes.py    rows told apart by their form, and checked value by value      pure
    gather.py    every row that can be read, and the place of every content that cannot
    scratch.py   the new store while it is filled
    verdict.py   what becomes of each message, with the event log as witness    pure
    corrupt.py   what is set aside, message by message
    judge.py     carries that out, message by message; a restore uses it too
    rebuild.py   a repair, from the damaged file to the new store

SQLite's own recovery (`.recover`) is in no Python binding. It could not do this either: it takes free
pages for data, which would send delivered mail again, and has nobody to ask what became of a row. The
file format is fixed for good (sqlite.org/fileformat2.html), and we read six tables of our own.
"""

from __future__ import annotations

from mta.spool.salvage.verdict import Logged, LoggedRecipient, Loss, Witness

__all__ = ["Logged", "LoggedRecipient", "Loss", "Witness"]
