"""Every byte there is, changed one at a time: the audit finds each.

A whole audit takes seconds, so each change is shown to the one check of the audit that is responsible for its file,
with everything else as it was; and a sample of the same changes to the whole audit, which must find them too (for
bundles of entries, also to the check of the whole log, which takes milliseconds). What no
check looks at is listed with the reason, and a file that is in neither list fails the test.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from published import HERE, Town, make_town

from kangma.audit import public, whole
from kangma.audit.public import Folder, Public, Seen
from kangma.audit.report import Check, Report
from kangma.city import make_city
from kangma.credential.claims import Kind
from kangma.publish import tables as tables_on_disk
from kangma.publish.city import the_signer
from kangma.publish.cycle import cycle
from kangma.publish.signer import Order
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.store.receive import receive_all
from kangma.store.releases import Release, releases
from kangma.store.state import State, open_state
from kangma.terms import DAY, HOUR
from kangma.translog import tiles, tree

#: Looked at by no check, and why that is no gap.
NOT_LOOKED_AT = {
    r"registry\.sqlite.*": "pages, not files: what it says is held against the log, row by row (test_audit.py)",
    r"vault\.sqlite.*": "sealed with AES-GCM: a changed byte opens nothing",
    r"keys/.*|root/.*|signer/keys/.*": "private keys: the auditor has none; a changed one signs nothing that verifies",
    r"columns/.*": "sealed, looked at whole when opened, and built again when damaged (kangma.tracing.columns)",
    r"derived/masks\.json": "how names are shown; made again at any time",
    r"log/events\.ndjson|rejects/.*|city\.json|KANGMA": "nothing of a verdict, a release or a code is taken from it",
    r"lock|signer/lock|signer/at-work": "empty",
}


@dataclass(frozen=True)
class InMemory(Folder):
    """The public folder, read once, with some files as somebody left them."""

    files: Mapping[str, bytes]

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.files if name.startswith(prefix))


@dataclass(frozen=True)
class Corpus:
    """A state, and everything that the audit found on the way to each of its checks."""

    state: State
    folder: InMemory
    public: Public
    keys: whole.Keys
    turns: list[whole.TurnsOf]
    folded: whole.Folded

    @property
    def path(self) -> Path:
        return self.state.path

    @property
    def recorded(self) -> list[Release]:
        return [x for x in releases(self.state.registry) if x.head is not None]

    def files(self) -> list[str]:
        found = (str(f.relative_to(self.path)) for f in self.path.rglob("*") if f.is_file())
        return sorted(f for f in found if not any(re.fullmatch(known, f) for known in NOT_LOOKED_AT))

    def check(self, path: str) -> Callable[[bytes | None], Report]:
        """The check responsible for a file: content, None for deleted → what it says."""
        if path.startswith("public/"):
            name = path.removeprefix("public/")
            look = self._public(name)

            def in_memory(content: bytes | None) -> Report:
                files = {n: c for n, c in self.folder.files.items() if n != name}
                look(
                    replace(self.folder, files=files if content is None else files | {name: content}),
                    report := Report(),
                )
                return report

            return in_memory
        at_the_disk = self._private(path)

        def on_disk(content: bytes | None) -> Report:
            with instead(self.path / path, content):
                at_the_disk(report := Report())
            return report

        return on_disk

    def _public(self, name: str) -> Callable[[Folder, Report], object]:
        found, seen = self.public, Seen()
        root, trust, checkpoint, logged = found.root, found.trust, found.checkpoint, found.logged
        assert root is not None
        assert trust is not None
        assert checkpoint is not None
        if name == "root":
            # Whoever has the fingerprint compares; whoever has none sees that the root signed nothing.
            return lambda f, r: (a := public.root_of(f, r, "")) and public.trust_of(f, r, a, seen)
        if name == "trust" or name.startswith("trust.d/"):
            return lambda f, r: public.trust_of(f, r, root, seen)
        if name.startswith("tile/entries/"):
            # Of the whole check of the log, what a bundle's bytes can move: the hashes of its leaves. A sample is shown
            # to the whole check below.
            level = tiles.parse_path(name)
            assert level is not None
            right = tree.leaf_hashes(tiles.unbundle(self.folder.read(name), level[2]))

            def as_hashed(f: Folder, r: Report) -> None:
                with r.looking(Check.LOG, name):
                    found = tree.leaf_hashes(tiles.unbundle(f.read(name), level[2]))
                    r.must(found == right, Check.LOG, "other leaves", name)

            return as_hashed
        if name == "checkpoint" or name.startswith("tile/"):
            return self.log
        if name.startswith("policy/"):
            return lambda f, r: public.policies_as_logged(f, r, logged)
        if name.endswith(".delta"):
            return lambda f, r: public.delta_of(f, r, trust, name)
        if name.startswith("status/"):
            return lambda f, r: public.list_of(f, r, trust, checkpoint, logged, seen, name)
        if name == "latest.json":
            lists = public._lists(self.folder, Report(), trust, checkpoint, logged, seen)
            return lambda f, r: public.pointer(f, r, trust, checkpoint, logged, lists)
        raise AssertionError(f"no check looks at public/{name}")

    def log(self, folder: Folder, report: Report) -> None:
        assert self.public.trust is not None
        public.log_of(folder, report, self.public.trust, Seen())

    def _private(self, path: str) -> Callable[[Report], object]:
        state, recorded = self.state, self.recorded
        evidence = {str(s.path.relative_to(self.path)): s.digest for s in state.live_segments()}
        if path in evidence:
            return lambda r: whole.evidence_file(state, r, path, evidence[path])
        if path.startswith("inbox/"):
            return lambda r: whole._evidence(state, r)
        if path == "persons.keys":
            return lambda r: whole.person_keys(state, r, recorded[-1], self.public.logged.releases[-1])
        if path.startswith("releases/"):
            _, number, name = path.split("/")
            said = {(n, file): digest for n, file, digest in whole.files_of(state, recorded)}
            return lambda r: whole.release_file(state, r, int(number), name, said[int(number), name])
        if path == "signer/salts":
            return lambda r: whole.fold(
                r, self.turns, whole.salts_of(state, r, self.keys), self.public, self.keys
            )
        if path in ("signer/journal", "signer/index.key"):
            return lambda r: whole.credentials_as_logged(state, r, self.public)
        if path in ("signer/book", "signer/book.before", "signer/root", "signer/trust"):
            return lambda r: whole.signer_as_logged(state, r, recorded, self.folded, self.public)
        raise AssertionError(f"no check looks at {path}")


@contextmanager
def instead(file: Path, content: bytes | None) -> Iterator[None]:
    """The file holds something else for a while, or is gone."""
    was = file.read_bytes()
    if content is None:
        aside = file.rename(file.with_name(f".{file.name}.aside"))
    else:
        _write(file, was, content)
    try:
        yield
    finally:
        if content is None:
            aside.rename(file)
        else:
            _write(file, content, was)


def _write(file: Path, was: bytes, content: bytes) -> None:
    """In place, and only what differs: a file system that sees a file cut to nothing and written anew makes haste to
    have it on the disk, which takes longer than any check."""
    at = 0
    while content[at : at + 4096] == was[at : at + 4096] and at < len(was):
        at += 4096
    more = b"" if content[at + 4096 :] == was[at + 4096 :] else content[at + 4096 :]
    with file.open("r+b") as f:
        f.seek(at)
        f.write(content[at : at + 4096] + more)
        f.truncate(len(content))


def changed(content: bytes, at: int) -> bytes:
    """One byte is another one: which, depends on the place alone."""
    other = content[at] ^ random.Random(at).randrange(1, 256)
    return content[:at] + bytes([other]) + content[at + 1 :]


def live_on(path: Path, town: Town, *, residents: int, days: int, seed: int = 3) -> None:
    """Codes of all kinds are issued, one resident's are withdrawn, a cycle logs it; then documents wait in the inbox."""
    at = town.now + HOUR
    with open_state(path) as state, the_signer(path, now=at) as signer:
        assert signer is not None
        phone = KeySigner(Algorithm.ES256, b"\x07" * 32, Environment.DEVELOPMENT).public.compressed
        today = HERE.day(town.now)
        orders = [Order(n, Kind.PHONE, "*", today + n % 3, phone) for n in range(6)]
        orders += [Order(7, Kind.PROXY, "*", today, phone, again=True), Order(8, Kind.PAPER, "*", today)]
        signer.credentials(orders, now=town.now)
        signer.withdraw(8, now=town.now)
        with (
            pytest.MonkeyPatch.context() as small
        ):  # tables as a large city has them: a base, and what changed since
            small.setattr(tables_on_disk, "WHOLE", 0)
            cycle(state, now=at, signer=signer)
        assert list((path / "releases").rglob("out.since-*.parquet"))
        tables = path.parent / "more"
        tables.mkdir()
        for kind, rows in make_city(residents, days + 1, seed).arrivals(days).items():
            if kind in ("tests", "purchases"):
                pq.write_table(rows, tables / f"{kind}.parquet")
        for receipt in receive_all(state, [tables], feed="city", now=at + DAY):
            assert receipt.code is None


@contextmanager
def opened(path: Path) -> Iterator[Corpus]:
    with open_state(path) as state:
        disk = path / "public"
        files = {str(f.relative_to(disk)): f.read_bytes() for f in disk.rglob("*") if f.is_file()}
        folder = InMemory(Folder.at(str(disk)).public, disk, files)
        report = Report()
        found = public.audit_public(folder, report, seen=Seen())
        recorded = [x for x in releases(state.registry) if x.head is not None]
        keys = whole.Keys(state)
        turns = whole.turns_of(state, report, recorded, keys)
        folded = whole.fold(report, turns, whole.salts_of(state, report, keys), found, keys)
        assert report.clean, report.differences
        yield Corpus(state, folder, found, keys, turns, folded)


@pytest.fixture(scope="module")
def corpus(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    path = town.copied(tmp_path_factory.mktemp("flips"))
    live_on(path, town, residents=400, days=5)
    with opened(path) as made:
        yield made


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """A thousand turns."""
    folder = tmp_path_factory.mktemp("thousand")
    town = make_town(folder, residents=1_300, days=9)
    live_on(town.path, town, residents=1_300, days=9)
    with opened(town.path) as made:
        assert sum(len(t.persons) for t in made.turns) >= 1_000
        yield made


def flips(corpus: Corpus, places: Callable[[str, int], list[int]]) -> tuple[int, list[str]]:
    """(how many bytes were changed, those of which nobody heard)."""
    count, missed = 0, []
    for path in corpus.files():
        content, check = (corpus.path / path).read_bytes(), corpus.check(path)
        assert check(content).clean, path  # the control
        for at in places(path, len(content)):
            count += 1
            if check(changed(content, at)).clean:
                missed.append(f"{path} at {at}")
    return count, missed


def bundles_against_the_whole_log(corpus: Corpus, count: int, seed: int) -> list[str]:
    """Changes of random bytes of entry bundles that the check of the whole log does not find."""
    chance, missed = random.Random(seed), []
    names = [name for name in corpus.folder.files if name.startswith("tile/entries/")]
    for _ in range(count):
        name = chance.choice(names)
        content = corpus.folder.files[name]
        at = chance.randrange(len(content))
        files = {**corpus.folder.files, name: changed(content, at)}
        corpus.log(replace(corpus.folder, files=files), report := Report())
        if report.clean:
            missed.append(f"{name} at {at}")
    return missed


def heard_of_by_the_whole_audit(corpus: Corpus, count: int, seed: int) -> list[str]:
    """Changes of random bytes, each file as likely as any other, that a whole audit does not find."""
    chance, files, missed = random.Random(seed), corpus.files(), []
    for _ in range(count):
        path = chance.choice(files)
        content = (corpus.path / path).read_bytes()
        at = chance.randrange(len(content))
        with instead(corpus.path / path, changed(content, at)):
            report = Report()
            whole.audit(corpus.state, report, seen=Seen())
            if report.clean:
                missed.append(f"{path} at {at}")
    return missed


# every byte ----------------------------------------------------------------------------------------------------------


def test_a_changed_byte_is_found_wherever_it_is(corpus: Corpus) -> None:
    chance = random.Random(int(os.environ.get("KANGMA_SEED", "1")))

    def places(path: str, size: int) -> list[int]:
        some = chance.sample(range(size), min(size, 16))
        return sorted({0, size - 1, *some})

    count, missed = flips(corpus, places)
    assert missed == []
    assert bundles_against_the_whole_log(corpus, 100, 1) == []
    assert count > 1_500


def test_the_whole_audit_finds_what_its_parts_find(corpus: Corpus) -> None:
    report = Report()
    whole.audit(corpus.state, report, seen=Seen())
    assert report.differences == []  # the control
    assert heard_of_by_the_whole_audit(corpus, 5, 1) == []


def test_what_may_go_is_looked_at_while_it_is_there(corpus: Corpus) -> None:
    """Tables of the release before the last are of use to nobody, and are a lie that may be believed one day."""
    last = max(int(p.split("/")[1]) for p in corpus.files() if p.startswith("releases/"))
    for path in [p for p in corpus.files() if f"releases/{last - 1:08d}/" in p]:
        content = (corpus.path / path).read_bytes()
        with instead(corpus.path / path, changed(content, len(content) // 2)):
            report = Report()
            for number, name, said in whole.files_of(corpus.state, corpus.recorded):
                whole.release_file(corpus.state, report, number, name, said)
        assert [d.where for d in report.differences] == [path]


@pytest.mark.prove
def test_every_single_byte_of_a_thousand_turns(thousand: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    count, missed = flips(thousand, lambda _, size: list(range(size)))
    assert bundles_against_the_whole_log(thousand, 5_000, 1) == []
    sampled = heard_of_by_the_whole_audit(thousand, 200, 1)
    with capsys.disabled():
        print(
            f"\n{count:,} single bytes changed, {count - len(missed):,} found by the check responsible; ",
            end="",
        )
        print(f"200 of them shown to the whole audit, {200 - len(sampled)} found")
    assert missed == []
    assert sampled == []


# whole files ---------------------------------------------------------------------------------------------------------


def test_every_file_that_is_deleted_is_missed(corpus: Corpus) -> None:
    # What a full or newer file has as well may go: the log's earlier, partial tiles, a delta, tables of the release
    # before the last.
    kept = []
    for path in corpus.files():
        if corpus.check(path)(None).clean:
            kept.append(path)
    last = max(int(p.split("/")[1]) for p in corpus.files() if p.startswith("releases/"))
    for path in kept:
        assert path.endswith(".delta") or ".p/" in path or f"releases/{last:08d}/" not in path, path
    assert all(p.startswith("public/") or p.startswith("releases/") for p in kept), kept


def test_two_files_that_changed_places_are_found(corpus: Corpus) -> None:
    chance, swaps = random.Random(3), 0
    families: dict[str, list[str]] = {}
    for path in corpus.files():
        kind = re.sub(r"[0-9a-f]{16,}|\d+", "#", path)
        families.setdefault(kind, []).append(path)
    for kind, paths in families.items():
        for _ in range(min(len(paths) - 1, 6)):
            one, other = chance.sample(paths, 2)
            contents = [(corpus.path / p).read_bytes() for p in (one, other)]
            if contents[0] == contents[1]:
                continue
            swaps += 1
            with instead(corpus.path / one, contents[1]), instead(corpus.path / other, contents[0]):
                found = [corpus.check(one)(contents[1]), corpus.check(other)(contents[0])]
            assert not all(r.clean for r in found), (kind, one, other)
    assert swaps >= 20


@pytest.mark.parametrize("which", ["public/checkpoint", "public/latest.json", "persons.keys", "signer/book"])
def test_a_file_cut_short_at_any_length_is_found(corpus: Corpus, which: str) -> None:
    content, check = (corpus.path / which).read_bytes(), corpus.check(which)
    lengths = (
        range(len(content)) if len(content) < 2_000 else random.Random(5).sample(range(len(content)), 300)
    )
    assert [n for n in lengths if check(content[:n]).clean] == []


def test_a_list_cut_short_at_any_length_is_found(corpus: Corpus) -> None:
    for path in corpus.files():
        if path.startswith("public/status/"):
            content, check = (corpus.path / path).read_bytes(), corpus.check(path)
            assert [n for n in range(len(content)) if check(content[:n]).clean] == [], path


def test_what_is_appended_is_found(corpus: Corpus) -> None:
    # Except where a crash may leave more than counts: keys and salts of persons and records of codes that no release
    # speaks of yet.
    for path in corpus.files():
        content = (corpus.path / path).read_bytes()
        for more in (b"\n", b"\0" * 64):
            if path not in ("persons.keys", "signer/journal", "signer/salts"):
                assert not corpus.check(path)(content + more).clean, path
