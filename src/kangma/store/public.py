"""The public folder: what a stranger has. Static files, each written whole, that any web server can hand out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from kangma.store.durable import fsync_all, remove_folder, unavailable_when_the_disk_is

#: Of more files than this the whole file system is synced instead of each: a midnight writes thousands of tiles.
MANY = 256


def write_public(folder: Path, files: Mapping[str, bytes]) -> None:
    """The files (path → content) are in the folder, durable on return. They become visible in the order given, each
    whole: a reader sees what was there before or what is there now. May be repeated.

    When a tile of the log is full, the partial ones that it replaces go; and the delta of a list that was signed anew
    without one.
    """
    with unavailable_when_the_disk_is():
        waiting: list[tuple[Path, Path]] = []
        made: set[Path] = set()
        for path, content in files.items():
            final = folder / path
            made |= _folders(final.parent)
            temporary = final.with_name(f".{final.name}.tmp")
            temporary.write_bytes(content)
            waiting.append((temporary, final))
        if len(files) <= MANY:
            fsync_all([temporary for temporary, _ in waiting])
        else:
            os.sync()  # Linux waits for all of it (sync(2)): cheaper than thousands of single ones
        for temporary, final in waiting:
            temporary.rename(final)
        touched = {final.parent for _, final in waiting}
        fsync_all(sorted({*touched, *(m.parent for m in made)}))
        for path in files:
            if path.startswith("status/") and f"{path}.delta" not in files and not path.endswith(".delta"):
                (folder / f"{path}.delta").unlink(missing_ok=True)
            partial = folder / f"{path}.p"
            if path.startswith("tile/") and partial.is_dir():
                remove_folder(partial)


def _folders(path: Path) -> set[Path]:
    """Makes a folder and those above it; which were new."""
    made = set()
    while not path.is_dir():
        made.add(path)
        path = path.parent
    for new in sorted(made):
        new.mkdir(exist_ok=True)
    return made


def drop_public(folder: Path, *, keep: set[str]) -> None:
    """Families of status lists that are not named in `keep` are gone: their credentials are over."""
    lists = folder / "status"
    if not lists.is_dir():
        return
    for family in lists.iterdir():
        if family.name not in keep and family.is_dir():
            remove_folder(family)
