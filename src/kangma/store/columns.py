"""Derived columns on disk, one folder a key: written whole, mapped when read, removed when no longer wanted."""

from __future__ import annotations

import mmap
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from kangma.store.durable import (
    Buffer,
    fsync_folder,
    remove_folder,
    unavailable_when_the_disk_is,
    write_file,
)
from kangma.terms import Day

if TYPE_CHECKING:
    from kangma.store.state import State


def read_columns(state: State, key: str) -> dict[str, memoryview] | None:
    """Name → the mapped bytes of the folder `key`; None when there is none. The maps live as long as the views."""
    folder = state.path / "columns" / key
    if not folder.is_dir():
        return None
    buffers = {}
    for file in sorted(folder.iterdir()):
        with file.open("rb") as f:
            size = file.stat().st_size
            mapped = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) if size else b""
        buffers[file.name] = memoryview(mapped)
    return buffers


def write_columns(state: State, key: str, buffers: Mapping[str, Buffer]) -> None:
    """The folder `key` holds exactly these buffers; visible whole or not at all, durable on return.

    Columns can be built again, but a power cut may leave a file of the right size and full of zeros, and a day of
    nobody looks like a day: so they are fsynced like everything else. Needs the state's lock or the cycle's lease.
    """
    parent = state.path / "columns"
    temporary = parent / f".{key}.tmp"
    with unavailable_when_the_disk_is():
        if temporary.exists():
            remove_folder(temporary)
        temporary.mkdir()
        for name, content in buffers.items():
            write_file(temporary / name, content)
        drop_columns(state, key)
        temporary.rename(parent / key)
        fsync_folder(parent)


def drop_columns(state: State, key: str) -> None:
    folder = state.path / "columns" / key
    if folder.exists():
        remove_folder(folder)


def keep_columns(state: State, keys: Collection[str]) -> None:
    """Every other folder goes. A program that has one mapped keeps it until it lets go."""
    for folder in list((state.path / "columns").iterdir()):
        if folder.name not in keys:
            remove_folder(folder)


def drop_day(state: State, day: Day | None) -> None:
    """Columns made from the visits of this UTC day are gone: their keys begin with its number. None: all of them,
    since any day may hold rows of a segment without a day."""
    for folder in list((state.path / "columns").iterdir()):
        if day is None or folder.name.startswith(f"{day}-"):
            remove_folder(folder)
