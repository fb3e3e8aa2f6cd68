"""Files that are there whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path

from kangma.store.durable import write_file


def test_threads_that_write_one_file_at_once_leave_one_of_their_texts_and_nothing_beside_it(
    tmp_path: Path,
) -> None:
    path, texts, failed = tmp_path / "checkpoint", [bytes([n]) * 9_000 for n in range(8)], []

    def write(text: bytes) -> None:
        try:
            for _ in range(20):
                write_file(path, text)
        except OSError as problem:
            failed.append(problem)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed
    assert path.read_bytes() in texts
    assert list(tmp_path.iterdir()) == [path]
