"""FHIR R4 → tests, vaccinations, people, retractions. docs/formats/fhir.md says what is taken and what is not.

Our own typed subset: a resource is read field by field, each with its path, and nothing is taken whose meaning could be
changed by something that we did not understand (modifier elements). A wrong field refuses its resource, never its
neighbours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, time
from functools import partial
from hashlib import sha256
from typing import Any, Final

from kangma.errors import Code, Refused, Where
from kangma.intake.documents import Batch, Refusal
from kangma.intake.identity import Keyer
from kangma.intake.limits import Limits
from kangma.intake.loinc import CODES, LOINC, Assay, Codes, Method, Result, fold, system
from kangma.intake.messages import (
    Identifier,
    Pile,
    local_moment,
    parse_json,
    person_of,
    printable,
    version,
)
from kangma.terms import DAY, Day, Moment, day_number

BUNDLES: Final = ("collection", "batch", "transaction", "message", "document")
# Read along where something refers to them; not documents themselves, and not counted.
ALONGSIDE: Final = frozenset(
    (
        *("Specimen", "Organization", "Practitioner", "PractitionerRole", "Location", "Device", "Encounter"),
        *("ServiceRequest", "Composition", "MessageHeader", "Provenance", "RelatedPerson"),
    )
)
_NATIONALITY: Final = "http://hl7.org/fhir/StructureDefinition/patient-nationality"

_BATCH_ROWS = 8_192
# Of one element, where many results may look through the same list: else the work grows with the square of the bytes.
REPETITIONS: Final = 100
_LONG: Final = frozenset(("contained", "result", "hasMember", "component", "extension"))
_STATUS: Final[dict[str, Result | None]] = {
    "final": None,
    "amended": None,
    "corrected": None,
    "registered": "pending",
    "preliminary": "pending",
    "cancelled": "invalid",
}
_ERROR = "entered-in-error"
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_DATE_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII
)


# ----------------------------------------------------------------------------------------------------- nodes


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON object with the path that leads to it. What is absent reads as empty; a wrong JSON type is bad_value."""

    value: dict[str, Any]
    path: str

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def refused(self, code: Code, name: str, hint: str) -> Refused:
        return Refused(code, Where(path=self.at(name) if name else self.path or None), hint)

    def has(self, name: str) -> bool:
        return name in self.value

    def text(self, name: str) -> str:
        found = self.value.get(name, "")
        if not isinstance(found, str):
            raise self.refused(Code.BAD_VALUE, name, "a text")
        return printable(found)

    def node(self, name: str) -> Node:
        found = self.value.get(name, {})
        if not isinstance(found, dict):
            raise self.refused(Code.BAD_VALUE, name, "an object")
        return Node(found, self.at(name))

    def nodes(self, name: str) -> list[Node]:
        found = self.value.get(name, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise self.refused(Code.BAD_VALUE, name, "a list of objects")
        if len(found) > REPETITIONS and name not in _LONG:
            raise self.refused(Code.VALUE_TOO_LONG, name, f"at most {REPETITIONS} of one element")
        return [Node(each, f"{self.at(name)}[{i}]") for i, each in enumerate(found)]

    @property
    def kind(self) -> str:
        return self.text("resourceType")

    def codings(self) -> list[tuple[str, str]]:
        """(canonical system, code) of a CodeableConcept."""
        found = [(system(c.text("system")), c.text("code")) for c in self.nodes("coding")]
        return [(s, c.upper() if s == LOINC else c) for s, c in found if c]

    def day(self, name: str) -> Day:
        """A whole date. A year or a month is none: bad_date."""
        text = self.text(name)
        if not text:
            raise self.refused(Code.MISSING_VALUE, name, "a date")
        found = _DATE.match(text)
        try:
            if found is None or (len(text) > 10 and _DATE_TIME.fullmatch(text) is None):
                raise ValueError("not a whole date")
            return day_number(date(int(found[1]), int(found[2]), int(found[3])))
        except ValueError:
            raise self.refused(Code.BAD_DATE, name, "YYYY-MM-DD") from None

    def moment(self, name: str, default_zone: str | None) -> tuple[Moment, bool] | None:
        """(moment, whether it says a time of day) of a dateTime or instant; None if absent."""
        text = self.text(name)
        if not text:
            return None
        found = _DATE_TIME.fullmatch(text)
        if found is None:
            raise self.refused(Code.BAD_TIME, name, "YYYY-MM-DDThh:mm:ss and an offset")
        year, month, day, hour, minute, second, zone = found.groups()
        offset = None
        try:
            when = date(int(year), int(month), int(day))
            at = time(int(hour), int(minute), int(second or 0)) if hour else None
            if zone:
                hours, minutes = (0, 0) if zone == "Z" else (int(zone[1:3]), int(zone[4:6]))
                if hours > 14 or minutes > 59:
                    raise ValueError("no such offset")
                offset = (hours * 60 + minutes) * (-60 if zone[0] == "-" else 60)
            if not 1900 <= when.year <= 2200:
                raise ValueError("another age")
        except ValueError:
            raise self.refused(Code.BAD_TIME, name, "no such day or time") from None
        try:
            return local_moment(when, at, offset, default_zone), at is not None
        except Refused as problem:
            raise self.refused(problem.code, name, problem.hint) from None


# ---------------------------------------------------------------------------------------------------- bundle


@dataclass(frozen=True, slots=True)
class Item:
    """A resource that is a document: where it stands, and what refers to it."""

    node: Node
    row: int  # of the bundle's entry, from 1
    url: str = ""  # fullUrl
    method: str = ""  # request.method
    holder: Node | None = None  # the resource that contains it


@dataclass
class Shelf:
    """All resources of one input and how references find them; the keys of the maps by int are `id(node.value)`."""

    entries: dict[str, Node | None] = field(default_factory=dict)  # None: two resources have this name
    items: dict[int, Item] = field(default_factory=dict)
    contained: dict[int, dict[str, Node | None]] = field(default_factory=dict)
    groups: dict[int, Node] = field(default_factory=dict)  # Observation → the report or panel that lists it
    persons: dict[int, tuple[str, str] | Refused] = field(default_factory=dict)
    modifiers: dict[int, str] = field(default_factory=dict)  # path of one that is not understood, or empty

    held: list[Item] = field(default_factory=list)  # Observations contained in a report or another resource

    @classmethod
    def of(cls, items: Iterable[Item]) -> Shelf:
        shelf = cls()
        for item in items:
            node = item.node
            names = [item.url] if item.url else []
            if isinstance(node.value.get("id"), str):
                names.append(f"{node.value['resourceType']}/{node.value['id']}")
            if item.url.count("/") > 1:
                names.append("/".join(item.url.split("/")[-2:]))
            shelf.put(names, item)
            inside = node.value.get("contained")
            for i, each in enumerate(inside if isinstance(inside, list) else []):
                if isinstance(each, dict) and each.get("resourceType") == "Observation":
                    shelf.held.append(Item(Node(each, node.at(f"contained[{i}]")), item.row, holder=node))
                    shelf.put((), shelf.held[-1])
        return shelf

    def put(self, names: Iterable[str], item: Item) -> None:
        self.items[id(item.node.value)] = item
        for name in names:
            known = self.entries.get(name, item.node)
            self.entries[name] = item.node if known is not None and known.value is item.node.value else None

    def resolve(self, reference: Node, near: Item) -> Node | None:
        """The resource that a Reference means, if it is in this input. An absolute one never finds a namesake on
        another server."""
        text = reference.text("reference")
        if not text.startswith("#"):
            return self.entries.get(text.split("/_history/", 1)[0])
        holder = near.holder or near.node
        inside = self.contained.get(id(holder.value))
        if inside is None:
            inside = {}
            for each in holder.nodes("contained"):
                name = each.text("id")
                inside[name] = None if name in inside else each
            self.contained[id(holder.value)] = inside
        return inside.get(text[1:])

    def group(self, node: Node) -> Node:
        """The outermost report or panel that lists this Observation, else itself."""
        seen = {id(node.value): node}
        while (above := self.groups.get(id(node.value))) is not None and id(above.value) not in seen:
            seen[id(above.value)] = node = above
        for each in seen:
            if each != id(node.value):
                self.groups[each] = node  # the next one of a long chain climbs one step
        return node

    def understood(self, node: Node) -> None:
        """Raises Refused if something in the resource may change the meaning of the rest."""
        at = self.modifiers.get(id(node.value))
        if at is None:
            at = next((node.at(n) for n in _MODIFIERS if node.value.get(n)), "")
            if not at and _modified(node.value):
                at = node.at("descendants().modifierExtension")
            self.modifiers[id(node.value)] = at
        if at:
            raise Refused(Code.UNSUPPORTED_MESSAGE, Where(path=at), "a modifier that is not understood")


_MODIFIERS: Final = ("modifierExtension", "implicitRules")


def _modified(value: Any) -> bool:
    """Whether a modifier with content stands anywhere inside. Depth is bounded by the JSON limit."""
    if isinstance(value, dict):
        return any(bool(value.get(n)) for n in _MODIFIERS) or any(map(_modified, value.values()))
    return isinstance(value, list) and any(map(_modified, value))


def read_fhir(
    source: bytes, *, keyer: Keyer, limits: Limits, default_zone: str | None = None, codes: Codes = CODES
) -> Iterator[Batch]:
    """Batches of kinds `tests`, `vaccinations`, `people` and `retractions` from one Bundle or single resource.

    A dateTime without offset (a day, that is) takes `default_zone`, else it is refused. Raises Refused for what is no
    FHIR JSON, a kind of Bundle that is not a message to us, and the limits of JSON.
    """
    root = parse_json(source, limits)
    if not isinstance(root, dict) or not isinstance(root.get("resourceType"), str):
        raise Refused(Code.UNREADABLE, Where(path="resourceType"), "not a FHIR resource")
    pile = Pile(keyer, limits)
    items: list[Item] = []
    for item in _unpacked(Node(root, ""), limits):
        if isinstance(item, Refusal):
            pile.refuse("tests", item)
            if pile.waiting >= _BATCH_ROWS:
                yield from pile.batches()
        else:
            items.append(item)
    reading = Reading(pile, Shelf.of(items), default_zone, codes)
    yield from reading.batches([*items, *reading.shelf.held])


def _unpacked(root: Node, limits: Limits) -> Iterator[Item | Refusal]:
    """The input's resources, and refusals for the entries that hold none."""
    if root.kind != "Bundle":
        if root.kind not in ("Patient", "Observation", "DiagnosticReport", "Immunization"):
            raise Refused(
                Code.UNSUPPORTED_MESSAGE, Where(path="resourceType"), "a resource that is not taken"
            )
        yield Item(root, 1)
        return
    if root.text("type") not in BUNDLES:
        raise root.refused(Code.UNSUPPORTED_MESSAGE, "type", f"one of {', '.join(BUNDLES)}")
    if root.text("implicitRules"):
        raise root.refused(Code.UNSUPPORTED_MESSAGE, "implicitRules", "a modifier that is not understood")
    entries = root.value.get("entry", [])
    if not isinstance(entries, list):
        raise root.refused(Code.BAD_VALUE, "entry", "a list of objects")
    if len(entries) > limits.rows:
        raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {limits.rows} entries")
    for row, value in enumerate(entries, 1):
        path = f"entry[{row - 1}]"
        try:
            yield _entry(Node(value if isinstance(value, dict) else {}, path), row)
        except Refused as problem:
            where = problem.where.path or path
            yield Refusal(row, None, None, where, problem.code, problem.hint, _raw(value))


def _entry(entry: Node, row: int) -> Item:
    """Raises Refused for an entry that holds nothing to take."""
    request = entry.node("request")
    if request.has("method") and request.text("method") not in ("POST", "PUT"):
        raise request.refused(Code.UNSUPPORTED_MESSAGE, "method", "POST or PUT")
    if entry.value.get("modifierExtension"):
        raise entry.refused(
            Code.UNSUPPORTED_MESSAGE, "modifierExtension", "a modifier that is not understood"
        )
    resource = entry.node("resource")
    if not resource.kind:
        raise resource.refused(Code.BAD_MESSAGE, "resourceType", "a resource")
    return Item(resource, row, entry.text("fullUrl"), request.text("method"))


# --------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class Member:
    """One Observation with what it says about SARS-CoV-2 by one method."""

    item: Item
    method: Method
    sources: list[tuple[Node, Assay]]  # itself, or its components


@dataclass(frozen=True, slots=True)
class Made:
    """A row that is ready, until the whole input has been read."""

    item: Item
    kind: str
    row: dict[str, Any]
    secret: dict[str, Any] | None

    @property
    def name(self) -> tuple[str, str, int] | None:
        document = self.row["document_id"]
        return (self.kind, document, self.row["document_version"]) if document is not None else None


@dataclass
class Reading:
    """One input, resource by resource, onto the pile."""

    pile: Pile
    shelf: Shelf
    default_zone: str | None
    codes: Codes
    # By report or panel, method and the sample's reference: what is one result.
    groups: dict[tuple[int, Method, str], list[Member]] = field(default_factory=dict)
    made: list[Made] = field(default_factory=list)

    def batches(self, items: list[Item]) -> Iterator[Batch]:
        linked = {id(item.node.value) for item in items if self._attempt(item, "tests", self._link)}
        take: dict[str, tuple[str, Callable[[Item], None]]] = {
            "Patient": ("people", self._people),
            "Immunization": ("vaccinations", self._vaccination),
            "Observation": ("tests", self._sort),
            "DiagnosticReport": ("tests", self._report),
        }
        for item in items:
            if id(item.node.value) in linked and item.node.kind not in ALONGSIDE:
                self._attempt(item, *take.get(item.node.kind, ("tests", _unknown)))
        for members in self.groups.values():
            self._attempt(members[0].item, "tests", partial(self._test, members))
        told: dict[tuple[str, str, int], set[str]] = {}
        for made in self.made:
            if made.name is not None:
                told.setdefault(made.name, set()).add(repr(made.row))
        for made in self.made:
            conflict = made.name is not None and len(told[made.name]) > 1
            self._attempt(made.item, made.kind, partial(self._accept, made, conflict))
            if self.pile.waiting >= _BATCH_ROWS:
                yield from self.pile.batches()
        yield from self.pile.batches()

    def _make(self, item: Item, kind: str, row: dict[str, Any], secret: dict[str, Any] | None) -> None:
        self.pile.check(kind, row)
        self.made.append(Made(item, kind, row, secret))

    def _accept(self, made: Made, conflict: bool, _: Item) -> None:
        """Raises Refused if the same input says something else under the same name and version: which of the two is
        meant must not depend on their order."""
        if conflict:
            raise made.item.node.refused(Code.BAD_MESSAGE, "identifier", "another result has this identifier")
        self.pile.accept(made.kind, made.row, [made.secret] if made.secret else [])

    def _attempt(self, item: Item, kind: str, take: Callable[[Item], None]) -> bool:
        """Whether it went through; if not, the refusal is on the pile."""
        try:
            take(item)
        except Refused as problem:
            path = problem.where.path or item.node.path or None
            raw = _raw(item.node.value)
            self.pile.refuse(kind, Refusal(item.row, None, None, path, problem.code, problem.hint, raw))
            return False
        return True

    # Reports and panels: which Observations belong together.

    def _link(self, item: Item) -> None:
        """Notes whose results a report or panel lists. Raises Refused for a report that lists what is not here."""
        node = item.node
        is_report = node.kind == "DiagnosticReport"
        if not is_report and node.kind != "Observation":
            return
        for reference in node.nodes("result" if is_report else "hasMember"):
            found = self.shelf.resolve(reference, item)
            if found is None and is_report:
                where = Where(path=reference.at("reference"))
                raise Refused(Code.BAD_MESSAGE, where, "a result that is not in the message")
            if found is not None and found.value is not node.value:
                self.shelf.groups.setdefault(id(found.value), node)

    def _report(self, item: Item) -> None:
        """A report is its results, which are read by themselves; one that holds none is refused."""
        if not item.node.nodes("result") and not any(
            each.kind == "Observation" for each in item.node.nodes("contained")
        ):
            raise item.node.refused(Code.NOT_A_RESULT, "result", "a report without results")

    # Persons.

    def _person(self, reference: Node, near: Item) -> tuple[str, str]:
        """(id_type, id_number) of a subject: the Patient in this input, or the Reference's own identifier."""
        found = self.shelf.resolve(reference, near)
        if found is None:
            identifier = reference.node("identifier")
            if not identifier.value:
                raise Refused(Code.NO_PERSON, Where(path=reference.path), "a patient with an identifier")
            return person_of([_identifier(identifier)])
        return self._holder(found)

    def _holder(self, patient: Node) -> tuple[str, str]:
        """Who a Patient is, worked out once however many results refer to it."""
        known = self.shelf.persons.get(id(patient.value))
        if known is None:
            try:
                known = self._identity(patient)
            except Refused as problem:
                known = problem
            self.shelf.persons[id(patient.value)] = known
        if isinstance(known, Refused):
            raise Refused(known.code, known.where, known.hint)
        return known

    def _identity(self, patient: Node) -> tuple[str, str]:
        if patient.kind != "Patient":
            raise Refused(Code.NO_PERSON, Where(path=patient.path), "the subject is no Patient")
        self.shelf.understood(patient)
        # Modifier elements of Patient: a record that is no longer in use names nobody.
        if patient.value.get("active", True) is not True:
            raise patient.refused(Code.NO_PERSON, "active", "a record that is not in use")
        if any(link.text("type") == "replaced-by" for link in patient.nodes("link")):
            raise patient.refused(Code.NO_PERSON, "link", "a record that another one replaces")
        usable = [i for i in patient.nodes("identifier") if i.text("use") != "old"]
        try:
            return person_of([_identifier(i) for i in usable])
        except Refused as problem:
            where = problem.where if problem.where.path else Where(path=patient.at("identifier"))
            raise Refused(problem.code, where, problem.hint) from None

    def _sealed(self, id_type: str, id_number: str, name: str = "", phone: str = "") -> dict[str, Any]:
        person = self.pile.keyer.key(id_type, id_number)
        return {
            "person": person,
            "id_type": id_type,
            "id_number": id_number,
            "name": name or None,
            "phone": phone or None,
        }

    def _people(self, item: Item) -> None:
        node = item.node
        id_type, id_number = self._holder(node)
        name = _name(node)
        if not name:
            raise node.refused(Code.MISSING_VALUE, "name", "a name")
        born = node.day("birthDate")
        phones = [
            t.text("value")
            for t in node.nodes("telecom")
            if t.text("system") == "phone" and t.text("use") != "old"
        ]
        district = next((a.text("district") for a in node.nodes("address") if a.text("district")), None)
        secret = self._sealed(id_type, id_number, name, next(iter(phones), ""))
        self._make(
            item,
            "people",
            {
                "document_id": f"Patient|{secret['person'].hex()}",
                "document_version": version(self._updated(node), settled=True),
                "person": secret["person"],
                "birth_date": born,
                "nationality": _nationality(node),
                "district": district,
                "guardian": None,
            },
            secret,
        )

    # Vaccinations.

    def _vaccination(self, item: Item) -> None:
        node = item.node
        self.shelf.understood(node)
        status = node.text("status")
        if status == _ERROR:
            self._retract(_document(item), item)
            return
        if status == "not-done":
            raise node.refused(Code.NOT_A_RESULT, "status", "not given")
        if status != "completed":
            raise node.refused(Code.NOT_IN_LIST, "status", "completed, not-done or entered-in-error")
        if node.value.get("isSubpotent") not in (None, False):
            raise node.refused(Code.NOT_A_RESULT, "isSubpotent", "a dose that does not count")
        product = self.codes.product(node.node("vaccineCode").codings())
        if product is None:
            raise node.refused(Code.NOT_A_RESULT, "vaccineCode", "no COVID-19 vaccine that is known")
        id_type, id_number = self._person(node.node("patient"), item)
        given = node.day("occurrenceDateTime")
        protocol = next(iter(node.nodes("protocolApplied")), Node({}, node.at("protocolApplied")))
        secret = self._sealed(id_type, id_number)
        self._make(
            item,
            "vaccinations",
            {
                "document_id": _document(item),
                "document_version": version(self._updated(node), settled=True),
                "person": secret["person"],
                "product": product,
                "dose": _dose(protocol),
                "given_on": given,
                "batch": node.text("lotNumber") or None,
                "site": self._name_of(node.node("location"), item) or self._performer(node, item) or None,
            },
            secret,
        )

    # Tests.

    def _sort(self, item: Item) -> None:
        """Puts an Observation with the others of its report and method; refuses one that is no SARS-CoV-2 result."""
        node = item.node
        self.shelf.understood(node)
        found: dict[Method, list[tuple[Node, Assay]]] = {}
        reason = ""
        for source in (*node.nodes("component"), node):
            if source is node and found and not _values(node):
                continue  # a heading: its components carry the answers
            codings = source.node("code").codings()
            assay = self.codes.assay(codings)
            if assay is not None:
                found.setdefault(assay.method, []).append((source, assay))
            else:
                reason = reason or self.codes.why_not(codings)
        if not found:
            raise node.refused(Code.NOT_A_RESULT, "code", reason or "no SARS-CoV-2 test")
        group, sample = self.shelf.group(node), node.node("specimen").text("reference")
        for method, sources in found.items():
            self.groups.setdefault((id(group.value), method, sample), []).append(
                Member(item, method, sources)
            )

    def _test(self, members: list[Member], _: Item) -> None:
        """One sample's result, from the Observations of one report and one method."""
        method = members[0].method
        first = members[0].item.node
        report: Node | None = self.shelf.group(first)
        if report is None or report.value is first.value:
            report = None
        else:
            self.shelf.understood(report)
        in_error = report is not None and report.text("status") == _ERROR
        standing = [m for m in members if not in_error and m.item.node.text("status") != _ERROR]
        deciding = _deciding(standing or members)
        lead = deciding[0].item
        whole = lead if len(deciding) == 1 or report is None else self.shelf.items[id(report.value)]
        document = _document(whole)
        name = f"{document}|{method}" if document else None
        if not standing:
            self._retract(name, lead)
            return
        answers: list[tuple[Assay, Result]] = []
        pooled = False
        persons = set()
        for member in standing:
            for source, assay in member.sources:
                answer, in_pool = self._answer(source, member.item.node)
                answers.append((assay, answer))
                pooled |= in_pool
            subject = member.item.node.node("subject")
            if not subject.value and report is not None:
                subject = report.node("subject")
            persons.add(self._person(subject, member.item))
        if len(persons) != 1:
            raise lead.node.refused(
                Code.BAD_MESSAGE, "subject", "results of one report have different subjects"
            )
        id_type, id_number = persons.pop()
        reported, sampled = self._times(lead, report)
        secret = self._sealed(id_type, id_number)
        specimen = self._specimen(lead, report) or document
        if not specimen:
            # Nothing names the sample: the same person, test and time are the same sample.
            told = secret["person"] + f"|{method}|{sampled}|{reported}".encode()
            specimen = f"fhir-{sha256(told).hexdigest()[:32]}"
        laboratory = self._performer(lead.node, lead) or (self._performer(report, lead) if report else "")
        if not laboratory:
            raise lead.node.refused(Code.MISSING_VALUE, "performer", "the laboratory")
        statuses = {m.item.node.text("status") for m in standing}
        self._make(
            lead,
            "tests",
            {
                "document_id": name,
                "document_version": version(
                    self._updated(lead.node) or reported,
                    settled=all(answer != "pending" for _, answer in answers),
                    corrected=bool(statuses & {"amended", "corrected"}),
                ),
                "specimen_id": specimen,
                "person": secret["person"],
                "sampled_at": sampled,
                "reported_at": reported,
                "method": method,
                "pooled": pooled,
                "pool_id": specimen if pooled else None,
                "result": fold(answers),
                "lab": laboratory,
            },
            secret,
        )

    def _answer(self, source: Node, observation: Node) -> tuple[Result, bool]:
        """(result, found in a pool) of an Observation or one of its components."""
        status = observation.text("status")
        if status not in _STATUS:
            raise observation.refused(Code.NOT_IN_LIST, "status", f"one of {', '.join(_STATUS)} or {_ERROR}")
        decided = _STATUS[status]
        if decided is not None:
            return decided, False
        values = _values(source)
        if not values:
            if source.node("dataAbsentReason").value:
                return "invalid", False
            raise source.refused(Code.MISSING_VALUE, "value[x]", "the answer")
        if values == ["valueCodeableConcept"]:
            concept = source.node("valueCodeableConcept")
            words = [concept.text("text"), *(c.text("display") for c in concept.nodes("coding"))]
            result, in_pool = self.codes.result(concept.codings(), next((w for w in words if w), ""))
        elif values == ["valueString"]:
            result, in_pool = self.codes.result((), source.text("valueString"))
        else:
            # A quantity (with or without a comparator), a boolean, a ratio: no answer to "present or not".
            raise source.refused(Code.BAD_VALUE, "value[x]", "a coded answer or words, not a quantity")
        if result is None:
            raise source.refused(
                Code.NOT_IN_LIST, "value[x]", "an answer that says detected, not detected or neither"
            )
        return result, in_pool

    def _times(self, lead: Item, report: Node | None) -> tuple[Moment, Moment | None]:
        """(reported_at, sampled_at). Reported is `issued` of Observation or report, else the effective time."""
        zone = self.default_zone
        specimen = self._specimen_node(lead, report)
        places: list[tuple[Node, str]] = []
        if specimen is not None:
            collection = specimen.node("collection")
            places += [(collection, "collectedDateTime"), (collection.node("collectedPeriod"), "start")]
        for node in (lead.node, *([report] if report else [])):
            places += [
                (node, "effectiveDateTime"),
                (node.node("effectivePeriod"), "start"),
                (node, "effectiveInstant"),
            ]
        sampled = next((m for m in (n.moment(name, zone) for n, name in places) if m is not None), None)
        for node in (lead.node, *([report] if report else [])):
            issued = node.moment("issued", zone)
            if issued is not None:
                if not issued[1] and sampled is not None and issued[0] <= sampled[0] < issued[0] + DAY:
                    return sampled[0], sampled[0]
                return issued[0], sampled[0] if sampled else None
        if sampled is None:
            raise lead.node.refused(Code.MISSING_VALUE, "issued", "when the result was reported")
        return sampled[0], sampled[0]

    def _specimen_node(self, lead: Item, report: Node | None) -> Node | None:
        reference = lead.node.node("specimen")
        if not reference.value and report is not None:
            reference = next(iter(report.nodes("specimen")), reference)
        found = self.shelf.resolve(reference, lead)
        return found if found is not None and found.kind == "Specimen" else None

    def _specimen(self, lead: Item, report: Node | None) -> str:
        """The number on the sample, else of the order, else nothing."""
        found = self._specimen_node(lead, report)
        if found is not None:
            for identifier in (found.node("accessionIdentifier"), *found.nodes("identifier")):
                if identifier.text("value"):
                    return identifier.text("value")
        named = lead.node.node("specimen").node("identifier").text("value")
        numbers = [i.text("value") for node in (lead.node, report) if node for i in node.nodes("identifier")]
        return named or next((n for n in numbers if n), "")

    def _performer(self, node: Node, near: Item) -> str:
        for performer in node.nodes("performer"):
            # Immunization wraps the reference in `actor`.
            name = self._name_of(performer.node("actor") if performer.has("actor") else performer, near)
            if name:
                return name
        return ""

    def _name_of(self, reference: Node, near: Item) -> str:
        """An organisation's or place's name: never a practitioner's, who is a person."""
        found = self.shelf.resolve(reference, near)
        if found is None:
            told = reference.text("reference")
            is_person = reference.text("type").startswith("Practitioner") or "Practitioner" in told
            return (
                "" if is_person else reference.text("display") or reference.node("identifier").text("value")
            )
        if found.kind in ("Organization", "Location"):
            return found.text("name") or reference.text("display")
        if found.kind == "PractitionerRole":
            return self._name_of(found.node("organization"), near)
        return ""

    def _updated(self, node: Node) -> Moment | None:
        """When this version was made: meta.lastUpdated, else issued."""
        for place, name in ((node.node("meta"), "lastUpdated"), (node, "issued")):
            found = place.moment(name, self.default_zone)
            if found is not None:
                return found[0]
        return None

    def _retract(self, document: str | None, item: Item) -> None:
        if not document:
            raise item.node.refused(
                Code.MISSING_VALUE, "identifier", "an identifier: without it nothing can be taken back"
            )
        self._make(
            item,
            "retractions",
            {
                "document_id": f"retraction|{document}",
                "document_version": 0,
                "retracts": document,
                "source": None,
                "reason": _ERROR,
                "by": "FHIR status",
            },
            None,
        )


def _unknown(item: Item) -> None:
    raise item.node.refused(Code.NOT_A_RESULT, "resourceType", "a resource that is not taken")


def _values(source: Node) -> list[str]:
    """The members of value[x] that are there; the standard allows one."""
    return [name for name in source.value if re.fullmatch(r"value[A-Z][A-Za-z]*", name)]


def _raw(value: Any) -> str:
    """The resource as JSON again, with half characters escaped, so that the rejects file can hold it."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _deciding(members: list[Member]) -> list[Member]:
    """Those that answer for the whole sample, else all."""
    return [m for m in members if any(assay.whole for _, assay in m.sources)] or members


def _document(item: Item) -> str | None:
    """The name under which a later version or a retraction finds this resource, stable within its feed.

    A business identifier; else an absolute fullUrl (of a POST it is made up for the one bundle); else type and id of a
    resource that a server has stored (it has a version or a date). A bundle's own "resource:1" names nothing.
    """
    node = item.node
    for identifier in node.nodes("identifier"):
        if identifier.text("value"):
            return f"{identifier.text('system')}|{identifier.text('value')}"
    if item.url.startswith(("http://", "https://")):
        return item.url
    if item.url.startswith(("urn:uuid:", "urn:oid:")) and item.method != "POST":
        return item.url
    meta = node.node("meta")
    if node.text("id") and (meta.text("versionId") or meta.text("lastUpdated")):
        return f"{node.kind}/{node.text('id')}"
    return None


def _identifier(node: Node) -> Identifier:
    assigner = node.node("assigner")
    codes = [c for _, c in node.node("type").codings()]
    return Identifier(
        number=node.text("value"),
        authority=node.text("system")
        or assigner.node("identifier").text("value")
        or assigner.text("display"),
        type_code=codes[0] if codes else "",
        path=node.path,
    )


def _name(patient: Node) -> str:
    """The official name, else the usual one, else the first that is neither old nor anonymous."""
    order = {"official": 0, "usual": 1}
    usable = [n for n in patient.nodes("name") if n.text("use") not in ("old", "anonymous", "maiden")]
    for name in sorted(usable, key=lambda n: order.get(n.text("use"), 2)):
        given = name.value.get("given", [])
        if not isinstance(given, list) or not all(isinstance(g, str) for g in given):
            raise name.refused(Code.BAD_VALUE, "given", "a list of texts")
        found = name.text("text") or " ".join(filter(None, [*map(printable, given), name.text("family")]))
        if found:
            return found
    return ""


def _nationality(patient: Node) -> str | None:
    for extension in patient.nodes("extension"):
        if extension.text("url") == _NATIONALITY:
            for part in extension.nodes("extension"):
                codings = part.node("valueCodeableConcept").codings()
                if part.text("url") == "code" and codings:
                    return codings[0][1]
    return None


def _dose(protocol: Node) -> int:
    found = protocol.value.get("doseNumberPositiveInt", protocol.value.get("doseNumberString"))
    if found is None:
        raise protocol.refused(Code.MISSING_VALUE, "doseNumber[x]", "which dose it was")
    if isinstance(found, str) and re.fullmatch(r"[0-9]{1,2}", found):
        found = int(found)
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= 99:
        raise protocol.refused(Code.BAD_NUMBER, "doseNumber[x]", "from 1 to 99")
    return found


# ---------------------------------------------------------------------------------------------------- answer

# Our codes → FHIR issue types (required binding, R4).
_ISSUES: Final[dict[Code, str]] = {
    Code.UNREADABLE: "structure",
    Code.NOT_UTF8: "structure",
    Code.BAD_MESSAGE: "structure",
    Code.CUT_OFF: "structure",
    Code.TOO_MANY_BYTES: "too-long",
    Code.TOO_MANY_ROWS: "too-long",
    Code.TOO_DEEP: "too-costly",
    Code.TOO_MANY_DIGITS: "too-costly",
    Code.VALUE_TOO_LONG: "too-long",
    Code.UNSUPPORTED_MESSAGE: "not-supported",
    Code.NOT_A_RESULT: "not-supported",
    Code.MISSING_VALUE: "required",
    Code.NO_PERSON: "required",
    Code.NOT_IN_LIST: "code-invalid",
    Code.ENDS_BEFORE_START: "invariant",
}


def operation_outcome(refusals: Iterable[Refusal | Refused]) -> dict[str, Any]:
    """An OperationOutcome (R4) naming code and path of each refusal; one of severity information if there is none."""
    issues: list[dict[str, Any]] = []
    for each in refusals:
        path = each.where.path if isinstance(each, Refused) else each.path
        issue: dict[str, Any] = {
            "severity": "fatal" if isinstance(each, Refused) else "error",
            "code": _ISSUES.get(each.code, "value"),
            "details": {"coding": [{"system": "urn:kangma:refusal", "code": str(each.code)}]},
        }
        if each.hint:
            issue["diagnostics"] = each.hint
        if path:
            issue["expression"] = [path]
        issues.append(issue)
    if not issues:
        issues.append(
            {"severity": "information", "code": "informational", "diagnostics": "everything was taken"}
        )
    return {"resourceType": "OperationOutcome", "issue": issues}
