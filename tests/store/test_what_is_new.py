"""Files are merged as they grow many; what they say is not new for that, and nobody is judged again because of it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from written import doc

from kangma.store.by_person import documents_of
from kangma.store.segments import MOST_SEGMENTS
from kangma.store.state import create


def test_a_document_is_new_once_however_often_its_file_is_merged(tmp_path: Path) -> None:
    with create(tmp_path / "state") as state:
        held = documents_of(state)
        seen: list[str] = []
        files = []
        for n in range(4 * MOST_SEGMENTS):
            feed, kind, table = doc(
                "purchases", person=f"P{n}", at="04-20", medicine_class="fever", pharmacy=f"{n}"
            )
            state.inbox.accept(feed, kind, table.to_batches())
            before = held.refresh()
            state.absorb()
            held.refresh()
            fresh = [part.take("purchases") for part in held.since("purchases", before)]
            seen += pa.concat_tables(fresh)["pharmacy"].to_pylist()
            files.append(len(held.segments["purchases"]))
        assert seen == [str(n) for n in range(4 * MOST_SEGMENTS)]
        assert max(files) <= MOST_SEGMENTS + 2  # they were merged
