"""The read model of the hot path: one prepared answer for each resident, in a file that readers have mapped.

One writer, any number of readers, no lock between them. A slot has two halves. The writer fills the one that readers do
not use: its number becomes 0, then the answer is written, then its new number, higher than the other half's. A reader
takes the half with the higher number and believes it when the check sum fits. A writer that is killed at any point
leaves the other half, whole.

Everything here is derived and can be made again. It is never believed after the machine went down: a power cut may have
kept one page and lost another, so the file names the boot in which it was written (`/proc/sys/kernel/random/boot_id`).

The file begins with a head of one page: magic, size of a slot, boot, and the `tail`, which every answer ends with: as at
which release it holds. Slots are filled before the tail says so, and readers take the tail first: an answer may be newer
than it says, and never older.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from zlib import crc32

from kangma.errors import Corrupt

FILE, TURNS = "codes.slots", "tokens.turns"
MAGIC = b"KMSLOTS1"
HEAD = 4_096
#: Bytes of a half. Only pages that were written take room on the disk: an answer of 600 bytes takes one of a half's four.
HALF = 16_384
SLOT = 2 * HALF
_MARK = struct.Struct("<QIII")  # number, length, CRC-32 of number, release and answer; release
MOST = HALF - _MARK.size
_TAIL = 64  # where the two halves of the tail begin
_TAIL_HALF = 256
_TAILS_END = _TAIL + 2 * _TAIL_HALF
_FIRST = struct.Struct("<8sI")
_GROW = 1_024  # slots at a time
_PATIENCE = 64


def this_boot() -> bytes:
    """16 bytes that are others after every start of the machine."""
    return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))


def _read_half(mapped: mmap.mmap, at: int, size: int) -> tuple[bytes, int] | None:
    """(content, release) of the newer of two halves of `size` bytes; None where nothing was ever written, or while it is
    being written (the caller asks again)."""
    one, other = _MARK.unpack_from(mapped, at), _MARK.unpack_from(mapped, at + size)
    if one[0] < other[0]:
        one, at = other, at + size
    number, length, check, release = one
    if not number or length > size - _MARK.size:
        return None
    content = mapped[at + _MARK.size : at + _MARK.size + length]
    return (content, release) if _check(number, release, content) == check else None


def _check(number: int, release: int, content: bytes) -> int:
    return crc32(content, (number ^ release << 8) & 0xFFFFFFFF)


def _write_half(mapped: mmap.mmap, at: int, size: int, content: bytes, release: int) -> None:
    numbers = [_MARK.unpack_from(mapped, at + half * size)[0] for half in (0, 1)]
    half = 0 if numbers[0] <= numbers[1] else 1
    number, to = max(numbers) + 1, at + half * size
    mapped[to : to + 8] = bytes(8)
    mapped[to + _MARK.size : to + _MARK.size + len(content)] = content
    mapped[to + 8 : to + _MARK.size] = _MARK.pack(
        number, len(content), _check(number, release, content), release
    )[8:]
    mapped[to : to + 8] = number.to_bytes(8, "little")


class SlotWriter:
    """The one writer. Two at once would spoil each other's halves: the part that writes holds a lock."""

    def __init__(self, folder: Path) -> None:
        """Opens the file, or begins a new one in place of one of another boot or another form."""
        self._path = folder / FILE
        self.fresh = not self._usable()
        if self.fresh:
            temporary = self._path.with_name(f".{FILE}.tmp")
            with temporary.open("wb") as file:
                file.write((_FIRST.pack(MAGIC, SLOT) + bytes(4) + this_boot()).ljust(HEAD, b"\0"))
            temporary.chmod(0o600)
            temporary.rename(self._path)
        self._file = self._path.open("r+b")
        self._map()

    def _usable(self) -> bool:
        try:
            with self._path.open("rb") as file:
                return _head_of(file.read(HEAD)) == this_boot()
        except (FileNotFoundError, Corrupt):
            return False

    def _map(self) -> None:
        self._mapped = mmap.mmap(self._file.fileno(), 0)

    def close(self) -> None:
        self._mapped.close()
        self._file.close()

    def release_of(self, slot: int) -> int | None:
        """The release as at which a slot was filled; None for an empty one."""
        if HEAD + (slot + 1) * SLOT > len(self._mapped):
            return None
        found = _read_half(self._mapped, HEAD + slot * SLOT, HALF)
        return None if found is None or not found[0] else found[1]

    def put(self, slot: int, answer: bytes, release: int) -> None:
        """The slot holds this answer, at once for every reader. ValueError when it is too long."""
        if len(answer) > MOST:
            raise ValueError("an answer that does not fit its slot")
        end = HEAD + (slot + 1) * SLOT
        if end > len(self._mapped):
            # Never shorter, and readers map what they need anew: what they have mapped stays good.
            os.ftruncate(self._file.fileno(), HEAD + (slot // _GROW + 1) * _GROW * SLOT)
            self._mapped.close()
            self._map()
        _write_half(self._mapped, HEAD + slot * SLOT, HALF, answer, release)

    def tail(self) -> tuple[bytes, int] | None:
        return _read_half(self._mapped, _TAIL, _TAIL_HALF)

    def put_tail(self, tail: bytes, release: int) -> None:
        """From now on answers end so: everything that `release` changed has been put."""
        if len(tail) > _TAIL_HALF - _MARK.size:
            raise ValueError("a tail that does not fit")
        _write_half(self._mapped, _TAIL, _TAIL_HALF, tail, release)


class SlotReader:
    """Whoever answers. Safe for threads: nothing is changed but the mapping, as a whole."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._mapped: mmap.mmap | None = None
        self._inode = 0
        self._last: tuple[mmap.mmap | None, bytes, tuple[bytes, int]] | None = (
            None  # the file, both halves of the tail, the tail
        )

    def ready(self) -> int | None:
        """The release as at which answers hold; None while there is nothing to answer from. Looks at the disk: a new
        file in place of the old one is taken up here, so whoever serves asks now and then."""
        try:
            if self._path.stat().st_ino != self._inode:
                self._open()
        except (FileNotFoundError, Corrupt):
            return None
        tail = self._tail()
        return None if tail is None else tail[1]

    def answer(self, slot: int) -> bytes | None:
        """The prepared answer of a slot, with its tail; None for a slot that was not filled yet, or no file."""
        mapped = self._mapped
        if mapped is None or HEAD + (slot + 1) * SLOT > len(mapped):
            mapped = self._open_again(slot)
            if mapped is None:
                return None
        at = HEAD + slot * SLOT
        for _ in range(_PATIENCE):
            tail = self._tail_of(mapped)  # first: see above
            # As `_read_half` does it, in place: every code that is shown comes through here.
            number, length, check, release = _MARK.unpack_from(mapped, at)
            other, from_ = _MARK.unpack_from(mapped, at + HALF), at + _MARK.size
            if number < other[0]:
                number, length, check, release = other
                from_ += HALF
            if tail is not None and number and length <= MOST:
                content = mapped[from_ : from_ + length]
                if _check(number, release, content) == check:
                    return content + tail[0] if length else None
            if not any(_MARK.unpack_from(mapped, half)[0] for half in (at, at + HALF)):
                return None
        return None

    def _tail_of(self, mapped: mmap.mmap) -> tuple[bytes, int] | None:
        """The tail; while both its halves are as they were, it is what it was."""
        there, last = mapped[_TAIL:_TAILS_END], self._last
        if last is not None and last[1] == there and last[0] is mapped:
            return last[2]
        tail = _read_half(mapped, _TAIL, _TAIL_HALF)
        if tail is not None and mapped[_TAIL:_TAILS_END] == there:
            self._last = (mapped, there, tail)
        return tail

    def _tail(self) -> tuple[bytes, int] | None:
        for _ in range(_PATIENCE):
            if self._mapped is not None and (found := _read_half(self._mapped, _TAIL, _TAIL_HALF)):
                return found
        return None

    def _open_again(self, slot: int) -> mmap.mmap | None:
        """The file mapped to its present end, if that is beyond this slot."""
        try:
            if HEAD + (slot + 1) * SLOT > self._path.stat().st_size:
                return None
            return self._open()
        except (FileNotFoundError, Corrupt):
            return None

    def _open(self) -> mmap.mmap:
        with self._path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            if _head_of(mapped[:HEAD]) != this_boot():
                raise Corrupt("the read model was written before the machine went down")
            self._mapped, self._inode = mapped, os.fstat(file.fileno()).st_ino
        return mapped


def _head_of(head: bytes) -> bytes:
    """The boot that a file names. Corrupt when it is no such file."""
    if len(head) < HEAD or _FIRST.unpack_from(head) != (MAGIC, SLOT):
        raise Corrupt("not a read model of this form")
    return head[16:32]


class TokenTurns:
    """Which turn each slot's tokens must name: two bytes a slot, mapped. What SQL says is copied here by whoever changes
    it, so that a token is checked without SQL; derived, and made again whole at each start."""

    def __init__(self, folder: Path, turns: list[tuple[int, int]]) -> None:
        self._path = folder / TURNS
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(fd, "r+b")
        self._mapped: mmap.mmap | None = None
        self._grow(max((slot for slot, _ in turns), default=0))
        for slot, turn in turns:
            self.set(slot, turn)

    def _grow(self, slot: int) -> mmap.mmap:
        need = (slot // _GROW + 1) * _GROW * 2
        if os.fstat(self._file.fileno()).st_size < need:
            os.ftruncate(self._file.fileno(), need)
        self._mapped = mmap.mmap(self._file.fileno(), 0)
        return self._mapped

    def of(self, slot: int) -> int:
        """0 for a slot that is nobody's."""
        mapped = self._mapped
        assert mapped is not None
        if 2 * slot + 2 > len(mapped):
            if 2 * slot + 2 > os.fstat(self._file.fileno()).st_size:
                return 0
            mapped = self._grow(slot)
        return mapped[2 * slot] | mapped[2 * slot + 1] << 8

    def set(self, slot: int, turn: int) -> None:
        mapped = self._mapped
        assert mapped is not None
        if 2 * slot + 2 > len(mapped):
            mapped = self._grow(slot)
        mapped[2 * slot : 2 * slot + 2] = turn.to_bytes(2, "little")

    def close(self) -> None:
        self._file.close()
