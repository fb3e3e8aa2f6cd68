"""What a door does: nine steps from a text to a colour, with no network and no effect but its marks.

The steps have the same numbers here, in docs/formats/verifier.md, in the vectors and in the pages' verifier. A scan
decodes one code; trust list and status lists were verified when they were taken in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kangma.credential import claims as claims_
from kangma.credential import holder, text
from kangma.credential.claims import Claims, Kind
from kangma.credential.marks import TIME, TRUST, Marks, newest_list, newest_time, of_key, of_list
from kangma.credential.outcome import _SEAL, Colour, NotVerified, Reason, Verified
from kangma.errors import Code, Refused
from kangma.signing import cose
from kangma.signing.keys import Algorithm, Environment, PublicKey
from kangma.signing.trust import GRACE, Authority, Root, TrustedKey, TrustList, Use, open_trust
from kangma.terms import DAY, HOUR, Moment

if TYPE_CHECKING:
    from kangma.status.token import StatusList

LEEWAY = 30  # seconds that two honest clocks may differ
LONGEST = {
    Kind.PHONE: 25 * HOUR,
    Kind.PROXY: 25 * HOUR,
    Kind.PAPER: 28 * DAY + HOUR,
}  # an hour: the clocks change
AHEAD = 3 * DAY  # so long before they begin credentials are issued
FRESH = 24 * HOUR  # how old a list may be before its state is called stale
LIFE_OF_A_STATUS_LIST = 7 * DAY
TRUST_GRACE = 30 * DAY  # so long an expired trust list still shows the last state, as stale
_STATUS_BITS = 4
_HEADERS = b"\xa2\x01\x26\x04\x48"  # {1: -7, 4: 8 bytes}, and no other header

_TEXT = {
    Code.TOO_MANY_BYTES: Reason.TOO_LONG,
    Code.BAD_VALUE: Reason.BAD_BASE45,
    Code.INFLATES_TOO_MUCH: Reason.INFLATES_TOO_MUCH,
}
_COLOURS = {0x0: Colour.GREEN, 0x3: Colour.NOTICE, 0xC: Colour.YELLOW, 0xD: Colour.RED}
_WITHDRAWN = 0x1
_LETTERS = frozenset(e.letter for e in Environment)


@dataclass(frozen=True, slots=True)
class _Issuer:
    """A key of the trust list as a scan needs it."""

    public: PublicKey
    reason: Reason | None  # why nothing it signed is believed, whatever the time
    not_before: Moment
    not_after: Moment
    authority: str
    lists: str  # what the URI of its status lists begins with
    kinds: frozenset[Kind]


class Verifier:
    """Whoever checks codes: a root that was pinned, the newest trust list and status lists, and marks.

    It makes no network call. Whoever owns it fetches the trust list and the lists of the authorities named there, on
    its own schedule, and hands the bytes over; what a QR code says is never a reason to fetch anything.
    Not safe for two threads at once.
    """

    def __init__(self, root: Root, marks: Marks) -> None:
        self._root, self._marks = root, marks
        self._trust: TrustList | None = None
        self._issuers: dict[bytes, _Issuer] = {}
        self._lists: dict[str, tuple[StatusList, bytes]] = {}  # with the id of the key that signed it
        self._refused_lists: dict[str, Reason] = {}
        # Before which it is not, whatever the clock says: for everybody, and for codes of one authority.
        self._floor: Moment = marks.get(TIME)
        self._floors: dict[str, Moment] = {}

    @property
    def trust(self) -> TrustList | None:
        """The list in force; None before one was taken."""
        return self._trust

    def take_trust(self, content: bytes) -> None:
        """Believes a signed trust list from now on. Lists signed by keys that it no longer trusts are let go.

        Raises Refused, and stays with what it has: `rolled_back` below the highest version seen, else as
        `kangma.signing.trust`.
        """
        trust = open_trust(content).verify(self._root, at_least=self._marks.get(TRUST))
        self._marks.raise_to(TRUST, trust.version)
        self._marks.raise_to(TIME, trust.issued)
        self._trust = trust
        self._floors = {a.id: newest_time(self._marks, a) for a in trust.authorities}
        self._floor = max(self._marks.get(TIME), self._floors[trust.publisher.id])
        self._issuers = {
            key.id: _Issuer(
                key.public,
                Reason.REVOKED_KEY
                if key.revoked_at is not None
                else (None if key.use is Use.CREDENTIAL else Reason.WRONG_USE),
                key.not_before,
                key.not_after,
                authority.id,
                f"{authority.base}/status/",
                frozenset(Kind[k.upper()] for k in key.kinds),
            )
            for authority in trust.authorities
            for key in authority.keys
        }
        for uri, (held, key_id) in list(self._lists.items()):
            if self._signer(key_id, uri, held.iat) is None:
                del self._lists[uri]
                self._refused_lists[uri] = Reason.BAD_LIST

    def take_list(self, uri: str, content: bytes) -> None:
        """Believes a signed status list, the file found at `uri`, from now on.

        Raises Refused and stays with the newest it has: `rolled_back` for one older than was ever seen, `untrusted`
        when none of the authority's status keys signed it, else as `kangma.status.token`.
        """
        from kangma.status.token import open_cwt  # noqa: PLC0415  a scan does without NumPy

        try:
            opened = open_cwt(content)
            authority, key = self._status_key(opened.key_id, uri, opened.claims.iat)
            self._believe(uri, opened.verify(key.public), authority, key)
        except Refused as problem:
            old = problem.code is Code.ROLLED_BACK
            self._refused_lists[uri] = Reason.ROLLED_BACK if old else Reason.BAD_LIST
            raise

    def take_delta(self, uri: str, content: bytes) -> None:
        """The same by a signed delta to the list that it holds. Raises Refused and stays with that one: as `take_list`,
        and `wrong_base` when the delta is not to it; then the whole list is to be fetched."""
        from kangma.status.delta import open_delta  # noqa: PLC0415

        if uri not in self._lists:
            raise Refused(Code.WRONG_BASE)
        opened = open_delta(content)
        authority, key = self._status_key(opened.key_id, uri, opened.claims.iat)
        self._believe(uri, opened.verify(key.public).apply(self._lists[uri][0]), authority, key)

    def _believe(self, uri: str, held: StatusList, authority: Authority, key: TrustedKey) -> None:
        """A list whose signature holds, if it is the one for this address, of our form, and not an older one."""
        if held.sub != uri or held.bits != _STATUS_BITS or held.exp - held.iat > LIFE_OF_A_STATUS_LIST:
            raise Refused(Code.BAD_MESSAGE, hint="another list, or one of another form")
        if held.iat < newest_list(self._marks, authority, uri):
            raise Refused(Code.ROLLED_BACK, hint="a newer one was seen already")
        self._marks.raise_to(of_list(uri, key.id), held.iat)
        self._marks.raise_to(of_key(key.id), held.iat)
        # The city whose verifier this is says what time it is; any other says so for its own codes alone.
        floor = self._floors[authority.id] = max(self._floors[authority.id], held.iat)
        if self._trust is not None and authority is self._trust.publisher:
            self._floor = max(self._floor, floor)
        self._lists[uri] = (held, key.id)

    def _status_key(self, key_id: bytes, uri: str, at: Moment) -> tuple[Authority, TrustedKey]:
        """The key of this id, and whose, if it may have signed the list at `uri` at that time; else `untrusted`."""
        found = self._signer(key_id, uri, at)
        if found is None:
            raise Refused(Code.UNTRUSTED, hint="no status key of its authority at that time")
        return found

    def _signer(self, key_id: bytes, uri: str, at: Moment) -> tuple[Authority, TrustedKey] | None:
        if self._trust is None:
            return None
        key, authority = self._trust.key(key_id), self._trust.authority_of(key_id)
        if key is None or authority is None or not uri.startswith(f"{authority.base}/status/"):
            return None
        return (authority, key) if key.use is Use.STATUS and key.signs(at) else None

    def verify(self, scanned: str, *, now: Moment) -> Verified | NotVerified:
        """What `scanned` proves at `now`. Never raises for anything that can be scanned."""
        # 1 text → bytes, within limits
        try:
            content = text.unpack(scanned)
        except Refused as problem:
            return NotVerified(_TEXT.get(problem.code, Reason.NOT_A_CODE))

        # 2 one COSE_Sign1, of the one algorithm that keys of credentials have
        try:
            opened, end = cose.first1(content, most=text.MOST_INFLATED)
        except Refused:
            return NotVerified(Reason.BAD_COSE)
        if len(opened.protected) != 13 or not opened.protected.startswith(_HEADERS):
            es256 = opened.headers.get(cose.ALG) == Algorithm.ES256
            return NotVerified(Reason.BAD_COSE if es256 else Reason.WRONG_ALGORITHM)

        # 3 the key in the trust list: environment, use, dates
        now = max(now, self._floor)  # which is the city's own
        trust = self._trust
        if trust is None or now >= trust.expires + TRUST_GRACE:
            return NotVerified(Reason.NO_TRUST)
        issuer = self._issuers.get(
            opened.key_id
        )  # whose ids all begin with the letter of the list's environment
        if issuer is None:
            letter = opened.key_id[:1]
            elsewhere = letter != trust.environment.letter and letter in _LETTERS
            return NotVerified(Reason.WRONG_ENVIRONMENT if elsewhere else Reason.UNKNOWN_KEY)
        if issuer.reason is not None:
            return NotVerified(issuer.reason)
        now = max(now, self._floors[issuer.authority])
        if now + LEEWAY < issuer.not_before:
            return NotVerified(Reason.KEY_NOT_YET)
        if now >= issuer.not_after + GRACE:
            return NotVerified(Reason.KEY_OVER)

        # 4 the signature
        if not opened.verify(issuer.public):
            return NotVerified(Reason.BAD_SIGNATURE)

        # 5 closed claims; and what they say lies within the key's scope, which is still a matter of step 3
        try:
            claims = claims_.decode(opened.payload)
        except Refused:
            return NotVerified(Reason.BAD_CLAIMS)
        if claims.issuer != issuer.authority or not claims.uri.startswith(issuer.lists):
            return NotVerified(Reason.WRONG_AUTHORITY)
        if claims.kind not in issuer.kinds:
            return NotVerified(Reason.WRONG_USE)

        # 6 times, by the latest of our clock, what our own city has signed and what the code's city has
        if claims.expires - claims.issued > LONGEST[claims.kind] or claims.issued >= issuer.not_after + AHEAD:
            return NotVerified(Reason.LIVES_TOO_LONG)
        if now + LEEWAY < claims.issued:
            return NotVerified(Reason.NOT_YET)
        if now - LEEWAY >= claims.expires:
            return NotVerified(Reason.EXPIRED)

        # 7 the holder's proof
        reason = _proof(content[:end], content[end:], claims, now)
        if reason is not None:
            return NotVerified(reason)

        # 8 the status list, whose signature and age were looked at when it was taken
        found = self._lists.get(claims.uri)
        if found is None:
            return NotVerified(self._refused_lists.get(claims.uri, Reason.NO_LIST))
        held = found[0]
        if now >= held.exp:
            return NotVerified(Reason.LIST_OVER)
        try:
            status = held.value(claims.index)
        except Refused:
            return NotVerified(Reason.NO_SUCH_INDEX)

        # 9 the verdict, with the age of its data
        if status == _WITHDRAWN:
            return NotVerified(Reason.WITHDRAWN)
        colour = _COLOURS.get(status)
        if colour is None:
            return NotVerified(Reason.UNKNOWN_STATUS)
        ends = min(held.iat + FRESH, trust.expires)
        return Verified(
            colour,
            claims.kind,
            claims.mask,
            claims.issuer,
            claims.expires,
            now - held.iat,
            ends if now > ends else None,
            seal=_SEAL,
        )


def _proof(credential: bytes, proof: bytes, claims: Claims, now: Moment) -> Reason | None:
    """Step 7: what is wrong with the proof, None when nothing is."""
    if claims.holder is None:
        return Reason.UNEXPECTED_PROOF if proof else None
    if not proof:
        return Reason.NO_PROOF
    try:
        step, signature = holder.read(proof)
    except Refused:
        return Reason.BAD_PROOF
    lag = holder.lag(step, now)
    if lag >= holder.OLD:
        return Reason.PROOF_OLD
    if lag < -holder.AHEAD:
        return Reason.PROOF_AHEAD
    if not holder.proves(credential, step, signature, claims.holder):
        return Reason.BAD_PROOF
    return None


def points_at(scanned: str) -> str | None:
    """The status list that a code names, which nobody has verified: to choose among files at hand. Fetching it would
    tell its server of the scan."""
    try:
        return claims_.decode(cose.first1(text.unpack(scanned), most=text.MOST_INFLATED)[0].payload).uri
    except Refused:
        return None
