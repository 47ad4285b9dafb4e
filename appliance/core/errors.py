"""Every error the box raises, as one tree.

    PillarboxError
    ├── ConfigError          the configuration file or environment is wrong (file, line, what is allowed)
    ├── UsageError           a person or program asked for something that cannot be done as asked
    │   ├── NotFoundError    no such record, or not visible to who asks
    │   ├── ConflictError    it exists already, or is in a state that forbids this
    │   ├── ForbiddenError   who asks has not the right to it
    │   ├── ReusedKeyError   an idempotency key stands for another request already
    │   ├── SignInError      who asks is not who they say, or said nothing
    │   └── TooManyError     asked too often: later again
    ├── NotRunningError      the process that must answer is not there
    ├── StoreError           the database cannot do its work now (disk full, locked, broken)
    │   ├── StoreFullError   no space left; accepting stops, delivering goes on
    │   ├── StoreBusyError   another program holds the lock
    │   ├── StoreDamagedError  the file is not what was written
    │   ├── UnstorableError, DamagedError  of one value or row of a spool (mta/spool/errors.py)
    │   ├── FencedError      another process has taken this shard: stop at once
    │   └── StoreLostError   a flush failed and nobody knows what is on the disk: stop and recover
    ├── SecretError          a secret cannot be decrypted (wrong or missing key version)
    └── Refused              a message or recipient is refused; carries the Reply (mta/reply.py)
        (declared in mta/policy/refusal.py, because it carries an SMTP reply)

Texts are for the person who must act on them: what is wrong, then what to do.
"""

from __future__ import annotations


class PillarboxError(Exception):
    """Base of all errors that have a text for a person. `exit_code` is the command line's."""

    exit_code = 1


class ConfigError(PillarboxError):
    """The configuration is wrong."""

    exit_code = 78  # EX_CONFIG


class UsageError(PillarboxError):
    """What was asked for cannot be done as asked. `field` names what is wrong of it, if one thing is."""

    exit_code = 64  # EX_USAGE

    def __init__(self, words: str, *, field: str = "") -> None:
        super().__init__(words)
        self.field = field


class NotFoundError(UsageError):
    """No such record."""

    exit_code = 66  # EX_NOINPUT


class ConflictError(UsageError):
    """The record exists already, or its state forbids this."""

    exit_code = 65  # EX_DATAERR


class ForbiddenError(UsageError):
    """Who asks has not the right to this."""

    exit_code = 77  # EX_NOPERM


class ReusedKeyError(UsageError):
    """An idempotency key was used with another request."""


class SignInError(UsageError):
    """Who asks could not be made out: a wrong password, an unknown key, an ended session."""

    exit_code = 77  # EX_NOPERM


class TooManyError(UsageError):
    """Asked too often; `seconds` from now it may be asked again."""

    exit_code = 75  # EX_TEMPFAIL

    def __init__(self, words: str, *, seconds: int = 1, field: str = "") -> None:
        super().__init__(words, field=field)
        self.seconds = seconds


class NotRunningError(PillarboxError):
    """The box, or the process that owns the shard, does not answer."""

    exit_code = 69  # EX_UNAVAILABLE


class StoreError(PillarboxError):
    """The database cannot do its work now."""

    exit_code = 74  # EX_IOERR


class StoreFullError(StoreError):
    """No space left on the device."""


class StoreBusyError(StoreError):
    """Another program holds the database's write lock."""


class StoreDamagedError(StoreError):
    """The database's file is not what was written: a broken disk, a file that was cut or overwritten."""


class FencedError(StoreError):
    """Another owner has taken the shard; this one must not write any more."""


class StoreLostError(StoreError):
    """The disk failed while writing: what was flushed is unknown until the file is opened anew."""


class SecretError(PillarboxError):
    """A secret cannot be read with the keys at hand."""

    exit_code = 77  # EX_NOPERM
