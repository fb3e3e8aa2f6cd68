"""Making credentials: pure, given a signer. Who gets one, and when, is decided elsewhere.

A phone holds today's and the next two days' credentials, each with an index and a holder key of its own, so that two
days of one person have nothing in common but the mask; and so that a phone which was online yesterday can be checked
today while we are down.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from kangma.credential import claims as claims_
from kangma.credential import text
from kangma.credential.claims import Claims, Kind
from kangma.signing import cose
from kangma.signing.keys import PublicKey, Signer
from kangma.signing.trust import Authority
from kangma.terms import Day, Moment, Zone

DAYS_AHEAD = 3  # local days for which a phone holds credentials: today's and the next two
PAPER_DAYS = 28  # local days that paper lives at most


@dataclass(frozen=True, slots=True)
class Place:
    """Where the status of a credential stands: `index` in list `number` of a family."""

    family: str
    number: int
    index: int

    def uri(self, authority: Authority) -> str:
        return f"{authority.base}/status/{self.family}/{self.number}"


def of_a_day(
    authority: Authority,
    zone: Zone,
    day: Day,
    place: Place,
    mask: str,
    holder: PublicKey,
    *,
    kind: Kind = Kind.PHONE,
) -> Claims:
    """What a phone's credential for one local day says."""
    return Claims(
        authority.id,
        zone.midnight(day),
        zone.midnight(day + 1),
        place.uri(authority),
        place.index,
        kind,
        mask,
        holder.compressed,
    )


def on_paper(
    authority: Authority, zone: Zone, day: Day, place: Place, mask: str, *, days: int = PAPER_DAYS
) -> Claims:
    """What a printed credential says: from the beginning of `day`, for 1 to 28 local days."""
    if not 1 <= days <= PAPER_DAYS:
        raise ValueError(f"paper lives 1 to {PAPER_DAYS} days")
    begins, ends = zone.midnight(day), zone.midnight(day + days)
    return Claims(authority.id, begins, ends, place.uri(authority), place.index, Kind.PAPER, mask)


def sign(claims: Claims, signer: Signer) -> bytes:
    """The credential: a COSE_Sign1 over the claims. The same claims and key give the same bytes. ValueError for claims
    that no credential may have."""
    return cose.sign1(claims_.encode(claims), signer)


def shown(credential: bytes, proof: bytes = b"") -> str:
    """The text that goes into the QR: a credential, and for phones the holder's proof of this half minute."""
    return text.pack(credential + proof)


def renewal(secret: bytes, person: bytes, day: Day, zone: Zone) -> Moment:
    """The moment of that local day at which this person's phone fetches new credentials.

    Spread over the whole day by a keyed hash, another one each day: 22 million phones that renewed at midnight would
    be their own attack, and who knows a person's hour one day does not know it the next.
    """
    begins, ends = zone.midnight(day), zone.midnight(day + 1)
    digest = hashlib.blake2b(
        person + day.to_bytes(8, "big", signed=True), key=secret, digest_size=8, person=b"KM1 renewal"
    )
    return begins + int.from_bytes(digest.digest(), "big") % (ends - begins)
