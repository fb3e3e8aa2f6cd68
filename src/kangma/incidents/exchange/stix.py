"""STIX 2.1 bundles: an incident with the OASIS core extension, and around it identity, location, attack patterns, threat
actors, courses of action and a report. Ids are UUIDv5, so that the same version gives the same bundle anywhere.

What STIX has no place for travels in an extension of ours on the incident, as the whole record. Reading believes it only
when the objects around it are exactly those that it would give; otherwise the objects count, as those of any stranger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID, uuid5

from kangma.errors import Code, Refused
from kangma.incidents import attack, canonical
from kangma.incidents.exchange.feeds import _iso
from kangma.incidents.exchange.report import MOST_RECORDS, About, Entry, Pick, Taken, hidden_of
from kangma.incidents.form import from_json, named, to_json
from kangma.incidents.levels import Seen
from kangma.incidents.reading import headline, victim_name
from kangma.incidents.record import LINE, Record
from kangma.incidents.vocabulary import (
    COUNTRIES,
    ActorType,
    Certainty,
    Degree,
    Kind,
    Organisation,
    Sector,
    Term,
)
from kangma.terms import Moment, moment

#: Under this namespace lies what every register shares; a register's own objects lie under its address.
SHARED = UUID("6d3f6c0e-7a55-4c0b-9a41-2f2f5b1f9a77")
CORE = "extension-definition--ef765651-680c-498d-9894-99799f2fa126"  # OASIS, Incident Core Extension
OURS = f"extension-definition--{uuid5(SHARED, 'extension')}"
WHITE = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"  # TLP:WHITE, predefined in STIX 2.1
AMBER = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"  # TLP:AMBER, predefined in STIX 2.1
#: When content-addressed objects were made: any fixed time, since they never change.
ALWAYS: Moment = moment("2022-04-28T00:00:00Z")

_SECTORS = {  # ours → industry-sector-ov (STIX 2.1, 10.8)
    Sector.PUBLIC_HEALTH: "healthcare",
    Sector.HEALTH_CARE: "healthcare",
    Sector.PUBLIC_ADMINISTRATION: "government",
    Sector.JUSTICE: "government",
    Sector.SOCIAL_SERVICES: "government-public-services",
    Sector.EDUCATION: "education",
    Sector.INFORMATION: "technology",
    Sector.FINANCE: "financial-services",
    Sector.TRANSPORT: "transportation",
    Sector.ENERGY: "energy",
    Sector.MANUFACTURING: "manufacturing",
    Sector.TRADE: "retail",
    Sector.HOSPITALITY: "hospitality-leisure",
    Sector.SPORT_AND_CULTURE: "entertainment",
    Sector.AGRICULTURE: "agriculture",
    Sector.CONSTRUCTION: "construction",
}
_ACTORS = {  # ours → threat-actor-type-ov (10.24)
    ActorType.INSIDER: "insider-disgruntled",
    ActorType.OFFICIAL: "insider-disgruntled",
    ActorType.FORMER_EMPLOYEE: "insider-disgruntled",
    ActorType.ACTIVIST: "activist",
    ActorType.COMPETITOR: "competitor",
    ActorType.CRIME: "crime-syndicate",
    ActorType.STATE: "nation-state",
    ActorType.STATE_AFFILIATED: "nation-state",
    ActorType.TERRORIST: "terrorist",
    ActorType.RESEARCHER: "hacker",
}
_MOTIVES = {  # ours → attack-motivation-ov (10.2)
    Term.FINANCIAL: "personal-gain",
    Term.FUN: "personal-satisfaction",
    Term.GRUDGE: "revenge",
    Term.IDEOLOGY: "ideology",
    Term.ESPIONAGE: "organizational-gain",
    Term.CONVENIENCE: "accidental",
}


def _first(pairs: Mapping[Any, str]) -> dict[str, Any]:
    """The other way round; of several the first."""
    made: dict[str, Any] = {}
    for ours, theirs in pairs.items():
        made.setdefault(theirs, ours)
    return made


# Out


def write(entries: Iterable[Entry], about: About) -> bytes:
    """One bundle of all entries."""
    return canonical.dumps(bundle(entries, about))


def bundle(entries: Iterable[Entry], about: About) -> dict[str, Any]:
    """A bundle in JSON values; objects shared by entries are there once."""
    objects: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for made in _objects(entry, about):
            objects.setdefault(made["id"], made)
    name = canonical.dumps([[o["id"], o["modified"]] for o in objects.values()]).decode()
    made = {
        "type": "bundle",
        "id": f"bundle--{uuid5(_space(about), name)}",
        "objects": list(objects.values()),
    }
    return {k: v for k, v in made.items() if v}  # STIX knows no empty list


def _space(about: About) -> UUID:
    return uuid5(SHARED, about.base)


def _object(kind: str, uuid: UUID, created: Moment, modified: Moment, /, **rest: Any) -> dict[str, Any]:
    made = {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{uuid}",
        "created": _stamp(created),
        "modified": _stamp(max(created, modified)),
    }
    return made | {k: v for k, v in rest.items() if v not in ("", [], {}, None)}


def _stamp(at: Moment) -> str:
    return _iso(at).replace("Z", ".000Z")


def _shared(kind: str, /, **rest: Any) -> dict[str, Any]:
    """An object that is named by what it says, and so the same from every register."""
    return _object(kind, uuid5(SHARED, f"{kind} {canonical.dumps(rest).decode()}"), ALWAYS, ALWAYS, **rest)


def _objects(entry: Entry, about: About) -> list[dict[str, Any]]:
    """Everything that one entry becomes, the incident last but the report."""
    seen, record = entry.seen, entry.seen.record
    space = _space(about)
    view = "members" if seen.member else "all"  # two views of one version are two objects
    marking = [AMBER if seen.member else WHITE]

    register = _object(
        "identity",
        uuid5(space, f"register {about.title}"),
        ALWAYS,
        ALWAYS,
        name=about.title,
        identity_class="organization",
    )
    definition = _object(
        "extension-definition",
        uuid5(SHARED, "extension"),
        ALWAYS,
        ALWAYS,
        name="Kangma incident record",
        description="The whole record as one kind of viewer sees it, with the counts of what others see.",
        schema="docs/formats/incident.md",
        version="1.0.0",
        extension_types=["property-extension"],
        created_by_ref=f"identity--{uuid5(SHARED, 'kangma')}",
    )
    kangma = _object(
        "identity", uuid5(SHARED, "kangma"), ALWAYS, ALWAYS, name="Kangma", identity_class="organization"
    )

    def own(kind: str, key: str, /, **rest: Any) -> dict[str, Any]:
        return _object(
            kind,
            uuid5(space, f"{kind} {record.id} {view} {key}"),
            entry.created,
            entry.modified,
            created_by_ref=register["id"],
            object_marking_refs=marking,
            **rest,
        )

    out = [kangma, definition, register]
    incident = own(
        "incident",
        "",
        name=headline(seen).en,
        description=record.summary.best("en"),
        revoked=True if entry.withdrawn else None,
        labels=[kind.value for kind in record.kinds],
        external_references=[
            {"source_name": about.title, "url": about.address(record.id), "external_id": record.id},
            *(
                {
                    "source_name": s.publisher or s.title or "unknown",
                    **({"description": s.title} if s.title else {}),
                    **({"url": s.url} if s.url else {}),
                }
                for s in record.sources
            ),
        ],
        extensions={
            CORE: {
                "extension_type": "property-extension",
                "determination": _determination(record),
                "investigation_status": "closed",
                **({"incident_types": [kind.value for kind in record.kinds]} if record.kinds else {}),
            },
            OURS: {
                "extension_type": "property-extension",
                "register": about.base,
                "version": entry.version,
                "record": to_json(record),
                **({"member": True} if seen.member else {}),
                **({"for_members": dict(seen.hidden)} if seen.hidden else {}),
            },
        },
    )

    def related(kind: str, to: dict[str, Any]) -> None:
        out.append(to)
        out.append(
            own(
                "relationship",
                f"{kind} {to['id']}",
                relationship_type=kind,
                source_ref=incident["id"],
                target_ref=to["id"],
            )
        )

    if record.victim:
        sector = _SECTORS.get(record.victim.sector)
        victim = _shared(
            "identity",
            name=victim_name(seen, "en") or "unknown",
            identity_class="organization",
            sectors=[sector] if sector else [],
            description=record.victim.organisation.value,
        )
        related("targets", victim)
        if place := _place(record.victim.country, record.victim.place.best("en")):
            out += [
                place,
                own(
                    "relationship",
                    f"victim {place['id']}",
                    relationship_type="located-at",
                    source_ref=victim["id"],
                    target_ref=place["id"],
                ),
            ]
    if record.location and (place := _place(record.location.country, record.location.place.best("en"))):
        related("located-at", place)
    for id, name in dict.fromkeys(named(record)):
        phases = attack.TABLE[id].tactics if id in attack.TABLE else ()
        related(
            "related-to",
            _shared(
                "attack-pattern",
                name=name or id,
                kill_chain_phases=[{"kill_chain_name": "mitre-attack", "phase_name": p} for p in phases],
                external_references=[
                    {
                        "source_name": "mitre-attack",
                        "external_id": id,
                        "url": f"https://attack.mitre.org/techniques/{id.replace('.', '/')}",
                    }
                ],
            ),
        )
    motives = [m for motive in record.motives if (m := _MOTIVES.get(motive.term))]
    for i, actor in enumerate(record.actors):
        if actor.type is ActorType.NOBODY:
            continue
        related(
            "attributed-to",
            own(
                "threat-actor",
                str(i),
                name=actor.name or "unknown",
                description=actor.note.best("en"),
                threat_actor_types=[_ACTORS.get(actor.type, "unknown")],
                primary_motivation=motives[0] if motives else None,
                secondary_motivations=list(dict.fromkeys(motives[1:])),
            ),
        )
    for i, action in enumerate(record.actions):
        text = action.what.best("en")
        related("related-to", own("course-of-action", str(i), name=text[:LINE], description=text))
    for other in record.related:
        target = f"incident--{uuid5(space, f'incident {other.id} {view} ')}"
        if not any(o["type"] == "relationship" and o["target_ref"] == target for o in out):
            out.append(
                own(
                    "relationship",
                    f"other {other.id}",
                    relationship_type="related-to",
                    source_ref=incident["id"],
                    target_ref=target,
                    description=other.relation.value,
                )
            )
    refs = list(dict.fromkeys(o["id"] for o in [*out, incident] if o["type"] != "extension-definition"))
    report = own(
        "report",
        "",
        name=headline(seen).en,
        description=record.description.best("en") or record.summary.best("en"),
        report_types=["threat-report"],
        published=_stamp(entry.created),
        object_refs=refs,
    )
    return [*out, incident, report]


def _place(country: str, name: str) -> dict[str, Any] | None:
    """A location needs a country (STIX 2.1, 4.9: or a region, or a point); without one there is none."""
    return _shared("location", country=country, name=name) if country in COUNTRIES else None


def _determination(record: Record) -> str:
    """Of the core extension: what came of it."""
    if record.certainty is Certainty.FALSE_ALARM:
        return "false-positive"
    if record.certainty in (Certainty.SUSPECTED, Certainty.UNKNOWN):
        return "suspected"
    degrees = {record.confidentiality.degree, record.integrity.degree, record.availability.degree}
    if degrees & {Degree.PARTIAL, Degree.WHOLE}:
        return "successful-attempt"
    return "failed-attempt" if degrees <= {Degree.NONE, Degree.ATTEMPTED} else "suspected"


# In


def read(content: bytes) -> Taken:
    """The incidents of a bundle. Refused whole for what is no bundle; else each incident by itself."""
    value = canonical.loads(content)
    if (
        not isinstance(value, dict)
        or value.get("type") != "bundle"
        or not isinstance(value.get("objects", []), list)
    ):
        raise Refused(Code.UNREADABLE, hint="not a STIX bundle")
    listed = value.get("objects", [])
    if len(listed) > 20 * MOST_RECORDS:
        raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {20 * MOST_RECORDS}")
    taken, objects, used = Taken(), dict[str, dict[str, Any]](), set[str]()
    for i, item in enumerate(listed):
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("id"), str)
            or not isinstance(item.get("type"), str)
        ):
            taken.note(f"objects[{i}]", "not an object with type and id")
        elif item["id"] in objects and objects[item["id"]] != item:
            taken.note(f"objects[{i}]", "its id is there already; the first counts")
        else:
            objects[item["id"]] = item
    edges: dict[str, list[dict[str, Any]]] = {}
    for item in objects.values():
        if item["type"] == "relationship" and isinstance(item.get("source_ref"), str):
            edges.setdefault(item["source_ref"], []).append(item)
    for id, item in objects.items():
        if item["type"] == "incident":
            used.add(id)
            try:
                taken.take(id, _entry(item, objects, edges, used, taken))
            except Refused as problem:
                taken.refuse(id, problem)
    for id, item in objects.items():
        if id not in used and item["type"] not in ("marking-definition", "extension-definition"):
            taken.note(
                id[:100], f"{item['type'][:40]}: belongs to no incident here, or has no place in a record"
            )
    return taken


def _entry(
    item: dict[str, Any],
    objects: dict[str, dict[str, Any]],
    edges: dict[str, list[dict[str, Any]]],
    used: set[str],
    taken: Taken,
) -> Entry:
    pick = Pick(item, item["id"])
    created, modified = _at(pick.get("created")), _at(pick.get("modified"))
    withdrawn = item.get("revoked") is True
    ours = (item.get("extensions") or {}).get(OURS) if isinstance(item.get("extensions"), dict) else None
    if isinstance(ours, dict):
        entry = _ours(ours, item, objects, created, modified, withdrawn)
        if entry is not None:
            used |= {o["id"] for o in _objects(entry, _about(ours, item, objects))}
            return entry
        taken.note(
            item["id"], "the record beside it says something else than the objects: the objects were read"
        )
        pick.ignore(f"extensions.{OURS}")
    record = _strangers(pick, item, objects, edges, used, taken)
    pick.ignore("type", "spec_version", "id", "revoked", "created_by_ref", "object_marking_refs", "lang")
    for path in pick.left():
        taken.note(path, "no place in a record")
    return Entry(Seen(record, True, {}), created, modified, withdrawn=withdrawn)


def _about(ours: Mapping[str, Any], item: Mapping[str, Any], objects: Mapping[str, Any]) -> About:
    maker = objects.get(str(item.get("created_by_ref")), {})
    return About(str(maker.get("name", "")), str(ours.get("register", "")))


def _ours(
    ours: dict[str, Any],
    item: dict[str, Any],
    objects: dict[str, dict[str, Any]],
    created: Moment,
    modified: Moment,
    withdrawn: bool,
) -> Entry | None:
    """The entry that a bundle of ours carries, when its objects are exactly those that it gives."""
    try:
        record = from_json(ours.get("record"))
    except Refused:
        return None
    version = ours.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        return None
    seen = Seen(record, ours.get("member") is True, hidden_of(ours.get("for_members")))
    entry = Entry(seen, created, modified, version, withdrawn)
    made = _objects(entry, _about(ours, item, objects))
    return entry if all(objects.get(o["id"]) == o for o in made) else None


def _at(text: str | None) -> Moment:
    try:
        return moment(text or "")
    except ValueError:
        return 0


def _strangers(
    pick: Pick,
    item: dict[str, Any],
    objects: dict[str, dict[str, Any]],
    edges: dict[str, list[dict[str, Any]]],
    used: set[str],
    taken: Taken,
) -> Record:
    """A record from the objects of somebody else's bundle. Its language is taken from `lang`, else English."""
    tag = "zh" if item.get("lang") == "zh" else "en"
    value: dict[str, Any] = {"id": _id_of(item["id"])}
    name, text = pick.get("name") or "", pick.get("description") or ""
    value["summary"] = {tag: (name or text)[:LINE]}
    if text:
        value["description"] = {tag: text}
    core = f"extensions.{CORE}"
    value["certainty"] = {
        "false-positive": "false-alarm",
        "suspected": "suspected",
        "blocked": "near-miss",
        "failed-attempt": "confirmed",
        "successful-attempt": "confirmed",
    }.get(pick.get(f"{core}.determination") or "", "unknown")
    pick.ignore(f"{core}.extension_type", f"{core}.investigation_status")
    types = [*pick.texts(f"{core}.incident_types"), *pick.texts("labels")]
    value["kinds"] = list(dict.fromkeys(t for t in types if t in list(Kind)))
    for other in dict.fromkeys(t for t in types if t not in list(Kind)):
        taken.note(item["id"], f"incident type {other[:60]!r}: not one of our kinds")
    for ref in pick.get("external_references", list) or ():
        source = Pick(ref, f"{item['id']}.external_references")
        title, url = source.get("description"), source.get("url")
        publisher = source.get("source_name")
        if not isinstance(ref, dict) or not (title or url or publisher):
            taken.note(item["id"], "an external reference that says nothing")
            continue
        value.setdefault("sources", []).append(
            {"title": title or publisher or "", "publisher": publisher or "", **({"url": url} if url else {})}
        )
        for path in source.left():
            taken.note(path, "no place in a source")
    for edge in edges.get(item["id"], []):
        to = objects.get(str(edge.get("target_ref")))
        if to is None:
            taken.note(edge["id"], "leads to an object that is not in the bundle")
            continue
        for field, found in _neighbour(edge, to, tag, taken):
            if isinstance(found, list):
                value.setdefault(field, []).extend(found)
            elif field in value:
                taken.note(edge["id"], f"a second {field}: the first counts")
            else:
                value[field] = found
            used |= {edge["id"], to["id"]}
        if to["type"] == "identity" and "victim" in value:
            for place_edge in edges.get(to["id"], []):
                place = objects.get(str(place_edge.get("target_ref")))
                if place and place["type"] == "location":
                    value["victim"] |= _country(place, tag)
                    used |= {place_edge["id"], place["id"]}
    return from_json(value)


def _neighbour(edge: dict[str, Any], to: dict[str, Any], tag: str, taken: Taken) -> Iterator[tuple[str, Any]]:
    """(field, value) of a record for an object next to an incident; what the object says beyond it is noted."""
    pick = Pick(to, to["id"])
    pick.ignore(
        "type", "spec_version", "id", "created", "modified", "created_by_ref", "object_marking_refs", "lang"
    )
    name, text = pick.get("name") or "", pick.get("description") or ""
    match to["type"]:
        case "identity":
            sector = next(
                (_first(_SECTORS)[s].value for s in pick.texts("sectors") if s in _first(_SECTORS)), "unknown"
            )
            organisation = text if text in list(Organisation) else "unknown"
            pick.ignore("identity_class")
            yield "victim", {"name": name, "sector": sector, "organisation": organisation}
            if text and organisation == "unknown":
                taken.note(f"{to['id']}.description", "no place in a victim")
        case "location":
            pick.get("country")
            yield "location", _country(to, tag)
        case "attack-pattern":
            refs = pick.get("external_references", list) or []
            ids = [r.get("external_id") for r in refs if isinstance(r, dict)]
            found = next((i for i in ids if isinstance(i, str) and attack.ID.fullmatch(i)), None)
            pick.ignore("kill_chain_phases")
            if found is None:
                taken.note(to["id"], "an attack pattern without an ATT&CK id")
                return
            entry = attack.TABLE.get(found)
            if entry and name not in ("", entry.name, found):
                taken.note(f"{to['id']}.name", "ATT&CK gives this id another name; that one was taken")
            yield (
                "techniques",
                [
                    {
                        "id": found,
                        "name": entry.name if entry else name,
                        **({"note": {tag: text}} if text else {}),
                    }
                ],
            )
        case "threat-actor" | "intrusion-set":
            types = [
                _first(_ACTORS)[t].value for t in pick.texts("threat_actor_types") if t in _first(_ACTORS)
            ]
            motives = [pick.get("primary_motivation"), *pick.texts("secondary_motivations")]
            yield (
                "actors",
                [
                    {
                        "name": "" if name == "unknown" else name,
                        "type": types[0] if types else "unknown",
                        "attribution": "attributed",
                        **({"note": {tag: text}} if text else {}),
                    }
                ],
            )
            terms = [_first(_MOTIVES)[m].value for m in motives if m in _first(_MOTIVES)]
            if terms:
                yield "motives", [{"term": t, "basis": "assessed"} for t in dict.fromkeys(terms)]
        case "course-of-action":
            yield "actions", [{"what": {tag: (text or name)}}]
            if text and name and name not in text:
                taken.note(f"{to['id']}.name", "the description was taken")
        case "incident":
            yield "related", [{"id": _id_of(to["id"])}]
            return
        case _:
            return
    for path in pick.left():
        taken.note(path, f"no place for it ({edge.get('relationship_type', 'relationship')})"[:100])


def _country(place: dict[str, Any], tag: str) -> dict[str, Any]:
    country, name = place.get("country"), place.get("name")
    sound = isinstance(country, str) and country in COUNTRIES
    made: dict[str, Any] = {"country": country if sound else "unknown"}
    if isinstance(name, str) and name:
        made["place"] = {tag: name}
    return made


def _id_of(stix: str) -> str:
    """A record's id from that of a stranger's incident."""
    return f"stix-{stix.partition('--')[2].lower()}"
