"""The keys by which partners are told: one in use, perhaps the next one, and the last one, in files of `front/`.

`hooks.key` signs messages and seals names of rides while these are open. `hooks-next.key` is told to partners and does
nothing yet. With a turn the next one takes the place of the one in use, which stays as `hooks-last.key` until the turn
after: it opens what it sealed, and signs nothing. A program that runs sees a turn at the next use.

Since when a key is there is the time of its file. One that was restored has a newer one: it waits longer, never less.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kangma.errors import Conflict, Corrupt
from kangma.store.durable import fsync_folder
from kangma.store.front import FrontStore
from kangma.store.keys import make_key, read_key, write_secret
from kangma.terms import DAY, Moment

KEY, NEXT, LAST = "hooks.key", "hooks-next.key", "hooks-last.key"
TOLD_BEFORE = DAY  # seconds for which a key is told before it signs: partners look once a day
_NONCE = 12


class _One:
    """What one secret of 32 bytes gives."""

    def __init__(self, secret: bytes) -> None:
        self.box = AESGCM(hashlib.blake2s(secret, person=b"KMseal").digest())
        self.signing = Ed25519PrivateKey.from_private_bytes(
            hashlib.blake2s(secret, person=b"KMsign").digest()
        )


@dataclass(frozen=True, slots=True)
class Told:
    """A key that partners are told: its public half, and since when it is there."""

    key: Ed25519PublicKey
    since: Moment


class HookKeys:
    """Of a front store; the key in use is made when there is none. It can be neither printed nor pickled."""

    def __init__(self, front: FrontStore) -> None:
        self._front, self._folder = front, front.folder
        if not (self._folder / KEY).exists():
            with suppress(Conflict):  # two who want it at once get the same
                make_key(self._folder / KEY)
        self._read: dict[str, tuple[tuple[int, int], _One]] = {}
        self._in_use()

    def _of(self, name: str) -> _One | None:
        """The key of a file, read anew when it is another file than before; None without one."""
        path = self._folder / name
        for _ in range(3):
            try:
                now = path.stat()
            except FileNotFoundError:
                return None
            mark = (now.st_ino, now.st_mtime_ns)
            known = self._read.get(name)
            if known is not None and known[0] == mark:
                return known[1]
            secret = read_key(path)
            with suppress(FileNotFoundError):
                if path.stat().st_ino == now.st_ino:  # not turned between the two
                    made = _One(secret)
                    self._read[name] = (mark, made)
                    return made
        raise Corrupt(f"{name} does not stand still")

    def _in_use(self) -> _One:
        found = self._of(KEY)
        if found is None:
            raise Corrupt(f"{KEY} is gone")
        return found

    # What it is for

    @property
    def signing(self) -> Ed25519PrivateKey:
        """The key by which messages are signed now."""
        return self._in_use().signing

    def seal(self, name: str) -> bytes:
        nonce = token_bytes(_NONCE)
        return nonce + self._in_use().box.encrypt(nonce, name.encode(), b"ride")

    def open(self, sealed: bytes) -> str:
        """What was sealed by the key in use or the last one. Corrupt otherwise."""
        for name in (KEY, LAST, KEY):  # a turn between the first two moves what was sought behind
            one = self._of(name)
            if one is not None:
                with suppress(InvalidTag):
                    return one.box.decrypt(sealed[:_NONCE], sealed[_NONCE:], b"ride").decode()
        raise Corrupt("the name of a ride was sealed by another key") from None

    # What partners are told of them, and how they follow on each other

    def told(self) -> list[Told]:
        """The key in use, and the next one where there is one."""
        found = []
        for name in (KEY, NEXT):
            one = self._of(name)
            with suppress(FileNotFoundError):
                if one is not None:
                    found.append(Told(one.signing.public_key(), int((self._folder / name).stat().st_mtime)))
        return found

    def announce(self, *, now: Moment) -> None:
        """Makes the next key, durable on return; from now on partners are told it. Conflict when there is one."""
        with self._front.write():  # one at a time
            self._make(NEXT, now)

    def turn(self, *, now: Moment, stolen: bool = False) -> None:
        """The next key signs from now on. Conflict when partners were told it less than a day ago, unless the one in use
        was stolen: then the next one, made now if there is none, takes its place at once.
        """
        with self._front.write():
            following = self._folder / NEXT
            if not following.exists():
                if not stolen:
                    raise Conflict("there is no next key")
                self._make(NEXT, now)
            if not stolen and now < int(following.stat().st_mtime) + TOLD_BEFORE:
                raise Conflict(
                    "partners look for the next key once a day: it was told them less than that ago"
                )
            # Killed between the two, the last one is the one in use: everything is as before.
            self._put(LAST, read_key(self._folder / KEY), now)
            following.replace(self._folder / KEY)
            os.utime(self._folder / KEY, (now, now))
            fsync_folder(self._folder)

    def _make(self, name: str, now: Moment) -> None:
        if (self._folder / name).exists():
            raise Conflict("there is a next key: partners are told it already")
        self._put(name, token_bytes(32), now)

    def _put(self, name: str, secret: bytes, now: Moment) -> None:
        """In the place of what was there, whole or not at all."""
        waiting = self._folder / f".{name}"
        waiting.unlink(missing_ok=True)  # of one that was killed
        write_secret(waiting, secret)
        os.utime(waiting, (now, now))
        waiting.replace(self._folder / name)
        fsync_folder(self._folder)

    def __repr__(self) -> str:
        return "HookKeys(…)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key does not travel")
