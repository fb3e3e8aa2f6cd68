"""Document numbers → person keys. Behind this module nobody knows a number; the vault alone keeps them, sealed.

The key of a person is a keyed pseudo-random function of document type and normalised number, so that nobody without the
key file can try out numbers (a plain hash of all Chinese identity numbers falls in hours).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from operator import mul

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from kangma.errors import Code, Corrupt, Refused
from kangma.intake.kinds import ID_TYPES
from kangma.intake.texts import lengths, matrix

KEY_BYTES = 16  # of a person key
_TAG = b"kangma.person.1"  # BLAKE2b personalisation: the same key file used elsewhere gives unrelated values

# GB 11643-1999: sum of digit times weight, modulo 11, picks the check character.
_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], dtype=np.uint16)
_CHECKS = np.frombuffer(b"10X98765432", dtype=np.uint8)
_WEIGHT = tuple(_WEIGHTS.tolist())
_SMALL_X, _X = ord("x"), ord("X")

_RESIDENT = re.compile(r"[0-9]{17}[0-9X]")
_PERMIT = re.compile(r"[A-Z0-9]{5,20}")
_HALF = {0x3000: 0x20} | {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
_UPPER = {small: small - 32 for small in range(ord("a"), ord("z") + 1)}
_FOLD = _HALF | _UPPER | {wide: wide - 0xFEE0 - 32 for wide in range(0xFF41, 0xFF5B)}


def normalised(id_type: str, id_number: str) -> tuple[str, str]:
    """Type and number as they are keyed: half-width, upper case, without white space.

    Raises Refused: bad_id_type for a type outside the list; bad_id_number for a resident number whose check character
    (GB 11643) or birth date is wrong, a permit or passport outside 5–20 of A–Z 0–9, another number outside 1–64
    printable characters. The number is in no message.
    """
    kind = id_type.translate(_FOLD).strip()
    if kind not in ID_TYPES:
        raise Refused(Code.BAD_ID_TYPE, hint=f"one of {', '.join(ID_TYPES)}")
    number = "".join(id_number.translate(_FOLD).split())
    if kind == "10":
        if not _RESIDENT.fullmatch(number):
            raise Refused(Code.BAD_ID_NUMBER, hint="17 digits and a check character 0–9 or X")
        if check_character(number[:17]) != number[17]:
            raise Refused(Code.BAD_ID_NUMBER, hint="the check character does not fit")
        try:
            born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
        except ValueError:
            raise Refused(Code.BAD_ID_NUMBER, hint="digits 7–14 are not a date of birth") from None
        if born.year < 1800:
            raise Refused(Code.BAD_ID_NUMBER, hint="digits 7–14 are not a date of birth")
    elif kind == "99":
        if not (1 <= len(number) <= 64 and number.isprintable()):
            raise Refused(Code.BAD_ID_NUMBER, hint="1 to 64 printable characters")
    elif not _PERMIT.fullmatch(number):
        raise Refused(Code.BAD_ID_NUMBER, hint="5 to 20 letters and digits")
    return kind, number


def check_character(first17: str) -> str:
    """The 18th character of a resident identity number. Source: GB 11643-1999, ISO 7064 MOD 11-2."""
    return "10X98765432"[sum(map(mul, map(int, first17), _WEIGHT)) % 11]


class Keyer:
    """Turns document numbers into person keys. It can be neither printed nor pickled."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if not 16 <= len(key) <= 64:
            raise Corrupt("the person key file must hold 16 to 64 bytes")
        self._key = key

    def key(self, id_type: str, id_number: str) -> bytes:
        """16 bytes that name the holder of this document. Raises Refused as `normalised` does."""
        return self.key_normalised(*normalised(id_type, id_number))

    def key_normalised(self, id_type: str, id_number: str) -> bytes:
        """As `key`, for a number that `normalised` has returned."""
        return self.seal(f"{id_type}\x1f{id_number}".encode())

    def seal(self, text: bytes) -> bytes:
        return blake2b(text, digest_size=KEY_BYTES, key=self._key, person=_TAG).digest()

    def __repr__(self) -> str:
        return "Keyer(…)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key does not travel")


@dataclass(frozen=True, slots=True, repr=False)
class Named:
    """The persons of one column of one batch: row i names person `which[i]`, if `ok[i]`.

    Of the m persons the first are the holders of `residents` (normalised resident numbers), the rest of `others`
    (type and normalised number), in this order. Numbers are for the vault only.
    """

    keys: NDArray[np.uint8]  # (m, 16)
    which: NDArray[np.int64]  # (n,) row → person; 0 where not ok
    ok: NDArray[np.bool_]  # (n,) the row names a person by a number that is valid as it stands
    residents: NDArray[np.bytes_]  # (r,) S18
    digits: NDArray[np.int64]  # (r,) their first 17 digits, ascending
    others: list[tuple[str, str]]  # (m - r,)

    def documents(self) -> tuple[pa.StringArray, pa.StringArray]:
        """(types (m,), normalised numbers (m,))."""
        r = len(self.residents)
        starts = pa.py_buffer(np.arange(r + 1, dtype=np.int32) * 18)
        numbers = pa.StringArray.from_buffers(r, starts, pa.py_buffer(np.ascontiguousarray(self.residents)))
        types = pa.repeat(pa.scalar("10"), r)
        if not self.others:
            return types, numbers
        loose = [pa.array(part, pa.string()) for part in zip(*self.others, strict=True)]
        return pa.concat_arrays([types, loose[0]]), pa.concat_arrays([numbers, loose[1]])

    @property
    def column(self) -> NDArray[np.uint8]:
        """(n, 16) keys row by row; meaningless where not ok."""
        return self.keys[self.which] if len(self.keys) else np.zeros((len(self.which), KEY_BYTES), np.uint8)


class Roster:
    """The persons that one input has named so far, so that each number is keyed once and sealed once.

    Holds at most `capacity` residents, 25 bytes each, in sorted runs; beyond that persons are keyed again.
    """

    def __init__(self, keyer: Keyer, capacity: int) -> None:
        self._keyer, self._capacity = keyer, capacity
        self._known = np.empty(0, np.int64)  # sorted first 17 digits
        self._keys = np.empty((0, KEY_BYTES), np.uint8)
        self._sealed = np.empty(0, np.bool_)
        self._others: dict[tuple[str, str], bytes | None] = {}
        self._others_sealed: set[bytes] = set()

    def name(self, types: pa.StringArray, numbers: pa.StringArray) -> Named:
        """Who is named by these two columns (n,). Rows that are wrong, or typed in an unusual way, are not ok."""
        n = len(types)
        which, ok = np.zeros(n, np.int64), np.zeros(n, np.bool_)
        resident = pc.equal(types, "10").to_numpy(zero_copy_only=False)
        digits, good = resident_digits(numbers)
        good &= resident
        rows = np.flatnonzero(good)
        persons, first, place = np.unique(digits[rows], return_index=True, return_inverse=True)
        which[rows], ok[rows] = place, True
        texts = np.empty(0, "S18")
        if len(persons):
            _, chosen = matrix(numbers.take(pa.array(rows[first])), 18)
            chosen[17][chosen[17] == _SMALL_X] = _X
            texts = np.ascontiguousarray(chosen.T).view("S18").ravel()
        keys = self._resident_keys(persons, texts)
        others: list[tuple[str, str]] = []
        loose = np.flatnonzero(~resident & (lengths(types) > 0) & (lengths(numbers) > 0))
        if len(loose):
            found: dict[bytes, int] = {}
            at = pa.array(loose)
            for row, pair in zip(
                loose.tolist(),
                zip(types.take(at).to_pylist(), numbers.take(at).to_pylist(), strict=True),
                strict=True,
            ):
                key = self._other_key(pair)
                if key is None:
                    continue
                if key not in found:
                    found[key] = len(persons) + len(others)
                    others.append(pair)
                which[row], ok[row] = found[key], True
            if found:
                keys = np.concatenate([keys, np.frombuffer(b"".join(found), np.uint8).reshape(-1, KEY_BYTES)])
        return Named(keys, which, ok, texts, persons, others)

    def unsealed(self, named: Named, accepted: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Persons of `named` in accepted rows whom no earlier call has returned (as far as capacity reaches)."""
        fresh = np.zeros(len(named.keys), np.bool_)
        fresh[named.which[accepted & named.ok]] = True
        r = len(named.residents)
        if len(self._known) and r:
            at = np.minimum(np.searchsorted(self._known, named.digits), len(self._known) - 1)
            known = self._known[at] == named.digits
            used = fresh[:r].copy()
            fresh[:r] &= ~(known & self._sealed[at])
            self._sealed[at[known & used]] = True
        for person in range(r, len(named.keys)):
            key = named.keys[person].tobytes()
            fresh[person] &= key not in self._others_sealed
            if fresh[person] and len(self._others_sealed) < self._capacity:
                self._others_sealed.add(key)
        return np.flatnonzero(fresh)

    def _resident_keys(self, persons: NDArray[np.int64], texts: NDArray[np.bytes_]) -> NDArray[np.uint8]:
        keys = np.empty((len(persons), KEY_BYTES), np.uint8)
        at = np.searchsorted(self._known, persons)
        known = np.zeros(len(persons), np.bool_)
        inside = at < len(self._known)
        known[inside] = self._known[at[inside]] == persons[inside]
        keys[known] = self._keys[at[known]]
        fresh = np.flatnonzero(~known)
        if len(fresh):
            seal = self._keyer.seal
            made = b"".join([seal(b"10\x1f" + text) for text in texts[fresh].tolist()])
            keys[fresh] = np.frombuffer(made, np.uint8).reshape(-1, KEY_BYTES)
            fresh = fresh[: max(0, self._capacity - len(self._known))]
            self._known = np.insert(self._known, at[fresh], persons[fresh])
            self._keys = np.insert(self._keys, at[fresh], keys[fresh], axis=0)
            self._sealed = np.insert(self._sealed, at[fresh], False)
        return keys

    def _other_key(self, pair: tuple[str, str]) -> bytes | None:
        """The key of a pair that is normalised as it stands, else None: then the plain path answers."""
        if pair in self._others:
            return self._others[pair]
        key = None
        try:
            if normalised(*pair) == pair:
                key = self._keyer.key_normalised(*pair)
        except Refused:
            pass
        if len(self._others) < self._capacity // 8:
            self._others[pair] = key
        return key


_DAYS_IN_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0, 0, 0], np.uint8)


def resident_digits(numbers: pa.StringArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(first 17 digits as a number, valid but for a small x) of each; the vector form of `normalised`."""
    n = len(numbers)
    digits, ok = np.zeros(n, np.int64), np.zeros(n, np.bool_)
    rows, text = matrix(numbers, 18)  # (18, k)
    if not len(rows):
        return digits, ok
    d = text[:17] - np.uint8(48)
    good = (d <= 9).all(axis=0)
    total = (d * _WEIGHTS[:, None]).sum(axis=0, dtype=np.uint16)
    good &= _CHECKS[total % 11] == np.where(text[17] == _SMALL_X, _X, text[17])
    year = d[6].astype(np.int16) * 1000 + d[7].astype(np.int16) * 100 + d[8] * np.uint8(10) + d[9]
    month, day = d[10] * np.uint8(10) + d[11], d[12] * np.uint8(10) + d[13]
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    longest = _DAYS_IN_MONTH[np.minimum(month, 15)] + ((month == 2) & leap)
    good &= (year >= 1800) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= longest)
    value = np.zeros(len(rows), np.int64)
    for digit in d:
        value = value * 10 + digit
    digits[rows], ok[rows] = value, good
    return digits, ok
