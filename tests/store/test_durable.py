"""Files that are there whole or not at all."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kangma.store.durable import Claim, sweep_claims, write_file


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


def test_a_sweep_never_takes_a_claim_that_begins_or_ends(tmp_path: Path) -> None:
    """One makes claims and lets them go, another sweeps all the time, as two programs of one state do."""
    over = threading.Event()

    def sweeps() -> int:
        swept = 0
        while not over.is_set():
            swept += sweep_claims(tmp_path)
        return swept

    with ThreadPoolExecutor(1) as other:
        swept = other.submit(sweeps)
        try:
            for n in range(300):
                claim = Claim(tmp_path / str(n))
                (claim.folder / "rows").write_bytes(b"rows")
                claim.release()
        finally:
            over.set()
    assert swept.result() == 0
    (tmp_path / "dead").mkdir()
    assert sweep_claims(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []
