"""Credentials for one resident: the number behind a document, the mask of a name, and what the signer is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa

from kangma.credential.claims import Kind
from kangma.credential.mask import Masks, masks_of
from kangma.errors import Code, Refused
from kangma.publish.answers import canonical_number
from kangma.publish.signer import Order, ReleaseSigner
from kangma.signing.keys import PublicKey
from kangma.store.durable import write_file
from kangma.store.numbers import person_table
from kangma.store.state import State
from kangma.terms import Day, Moment

#: Masks are chosen anew when the city has grown by this part of itself.
GROWN = 0.1


def resident(state: State, id_type: str, id_number: str) -> int:
    """The person number behind a document. Refused (no_person) when nothing absorbed speaks of it."""
    number = state.person_number(state.keyer().key(id_type, id_number))
    if number is None:
        raise Refused(Code.NO_PERSON, hint="nothing that was absorbed speaks of this person")
    return canonical_number(state, number)


def mask_of(state: State, person: int) -> str:
    """How the person's name is shown at doors; `*` when the vault has no name."""
    known = state.vault.open(key_of(state, person))
    return masks(state).of((known.name if known else None) or "")


def masks(state: State) -> Masks:
    """The masks that the city uses: of everybody's name, but in the file only what 1 in 1,000 share."""
    file, persons = state.path / "derived" / "masks.json", state.person_count()
    try:
        said = json.loads(file.read_bytes())
        if persons <= said["persons"] * (1 + GROWN):
            return Masks(frozenset(said["used"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # derived: made again
    keys = person_table(state.path / "persons.keys", persons)["key"]
    identities = (state.vault.open(key) for key in keys.to_pylist())
    made = masks_of(found.name for found in identities if found is not None and found.name)
    if state.writable:
        content = {"persons": persons, "used": sorted(made.used)}
        write_file(file, json.dumps(content, ensure_ascii=False).encode())
    return made


def for_phone(
    state: State,
    signer: ReleaseSigner,
    person: int,
    holders: Sequence[PublicKey],
    *,
    today: Day,
    now: Moment,
    kind: Kind = Kind.PHONE,
    again: bool = False,
) -> list[bytes]:
    """Signed credentials for today and the days after it, one for each of `holders`, a fresh key each."""
    mask = mask_of(state, person)
    orders = [
        Order(person, kind, mask, today + i, key.compressed, again or kind is Kind.PROXY)
        for i, key in enumerate(holders)
    ]
    return signer.credentials(orders, now=now)


def on_paper(state: State, signer: ReleaseSigner, person: int, *, today: Day, now: Moment) -> bytes:
    """A credential to be printed. Doors can verify it from the next release on."""
    (made,) = signer.credentials([Order(person, Kind.PAPER, mask_of(state, person), today)], now=now)
    return made


def key_of(state: State, person: int) -> bytes:
    """The 16-byte key of a person number."""
    return state.person_keys(pa.array([person], pa.uint32()))[0]
