"""VERIS 1.4.1: the schema of the VERIS community (vz-risk/veris), with the rules between fields that its own checker
holds (bin/checkValidity.py there): what an action implies for attributes, actors and the value chain.

What VERIS has no place for travels under `plus.kangma` as the whole record. Reading believes it only when the rest is
exactly what it would give; otherwise the VERIS fields count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from kangma.errors import Code, Refused
from kangma.incidents import attack, canonical
from kangma.incidents.exchange.report import MOST_RECORDS, Entry, Pick, Taken, hidden_of
from kangma.incidents.form import from_json, to_json
from kangma.incidents.levels import Seen
from kangma.incidents.reading import victim_name
from kangma.incidents.record import LINE, Effect, Record
from kangma.incidents.vocabulary import (
    COUNTRIES,
    NAICS,
    VERIS_ACTION,
    ActorType,
    Certainty,
    Degree,
    Organisation,
    Sector,
    Term,
    Unit,
)
from kangma.incidents.words import Precision

VERSION = "1.4.1"
FIRST_YEAR, LAST_YEAR = 1950, 2050  # of its schema

_CERTAINTY = {
    Certainty.CONFIRMED: "Confirmed",
    Certainty.SUSPECTED: "Suspected",
    Certainty.UNKNOWN: "Suspected",
    Certainty.NEAR_MISS: "Near miss",
    Certainty.FALSE_ALARM: "False positive",
}
_GOVERNMENT = {
    Organisation.NATIONAL_GOVERNMENT: "Federal",
    Organisation.REGIONAL_GOVERNMENT: "Regional",
    Organisation.LOCAL_GOVERNMENT: "Local",
    Organisation.PUBLIC_SERVICE: "Other",
    Organisation.UNKNOWN: "Unknown",
}
_MOTIVE = {Term.NONE: "NA"} | {t: t.value.capitalize() for t in Term if t is not Term.NONE}
_EXTERNAL = {
    ActorType.ACTIVIST: "Activist",
    ActorType.COMPETITOR: "Competitor",
    ActorType.CUSTOMER: "Customer",
    ActorType.FORMER_EMPLOYEE: "Former employee",
    ActorType.CRIME: "Organized crime",
    ActorType.STATE: "Nation-state",
    ActorType.STATE_AFFILIATED: "State-affiliated",
    ActorType.TERRORIST: "Terrorist",
    ActorType.RESEARCHER: "Other",
    ActorType.UNAFFILIATED: "Unaffiliated",
    ActorType.OTHER: "Other",
    ActorType.UNKNOWN: "Unknown",
}
_INTERNAL = {ActorType.INSIDER: "Other", ActorType.OFFICIAL: "Manager"}
#: Action and variety → what the checker then wants elsewhere: (section, part, variety).
_IMPLIES = {
    ("malware", ""): (
        ("attribute", "integrity", "Software installation"),
        ("value_chain", "development", "Unknown"),
    ),
    ("social", ""): (("attribute", "integrity", "Alter behavior"),),
    ("hacking", "Use of stolen creds"): (("value_chain", "targeting", "Lost or stolen credentials"),),
    ("hacking", "Exploit vuln"): (
        ("value_chain", "targeting", "Vulnerabilities"),
        ("value_chain", "development", "Exploit"),
    ),
    ("hacking", "Exploit misconfig"): (("value_chain", "targeting", "Misconfigurations"),),
    ("physical", "Theft"): (("attribute", "availability", "Loss"),),
}
_VECTORS = {"hacking", "malware", "social", "error", "misuse", "physical"}


# Out


def write(entries: Iterable[Entry]) -> bytes:
    """A JSON list of incidents, as VERIS collections are. An entry without a date has no place in VERIS (it demands a
    year) and is left out: `cannot` says which."""
    return canonical.dumps([incident(e) for e in entries if not cannot(e)])


def cannot(entry: Entry) -> bool:
    """Whether there is no VERIS incident of it: its viewer does not see the date, or its year is not one of VERIS."""
    date = entry.seen.record.date
    return date is None or not FIRST_YEAR <= date.first.year <= LAST_YEAR


def incident(entry: Entry) -> dict[str, Any]:
    """One entry in JSON values. ValueError when it `cannot`."""
    record = entry.seen.record
    if cannot(entry):
        raise ValueError("VERIS demands a year")
    made: dict[str, Any] = {
        "schema_version": VERSION,
        "schema_name": "verisc",
        "incident_id": record.id,
        "security_incident": _CERTAINTY[record.certainty],
        "summary": record.summary.best("en"),
        "timeline": {"incident": _when(record)},
        "victim": _victim(entry.seen),
        "action": _action(record),
        "actor": _actor(record),
        "asset": {"assets": [{"variety": "S - Web application"}], "cloud": ["Unknown"]},
        "attribute": _attribute(record),
        "discovery_method": {"unknown": True},
        "impact": {"overall_rating": "Unknown"},
        "plus": {"kangma": _beside(entry)},
    }
    if reference := "; ".join(s.url for s in record.sources if s.url):
        made["reference"] = reference
    if notes := record.description.best("en"):
        made["notes"] = notes
    if actions := " ".join(a.what.best("en") for a in record.actions):
        made["corrective_action"] = actions
    _imply(made)
    return made


def _beside(entry: Entry) -> dict[str, Any]:
    made: dict[str, Any] = {
        "record": to_json(entry.seen.record),
        "created": entry.created,
        "modified": entry.modified,
        "version": entry.version,
    }
    flags = {"withdrawn": entry.withdrawn, "member": entry.seen.member}
    made |= {name: True for name, flag in flags.items() if flag}
    return made | ({"for_members": dict(entry.seen.hidden)} if entry.seen.hidden else {})


def _when(record: Record) -> dict[str, int]:
    """Year, and month and day where they are known; of a range its first day, as VERIS counts from the beginning."""
    assert record.date is not None
    day, precision = record.date.first, record.date.precision
    start = record.date.text.partition("/")[0]
    made = {"year": day.year}
    if precision is not Precision.YEAR and len(start) >= 7:
        made["month"] = day.month
    if precision is not Precision.YEAR and len(start) >= 10:
        made["day"] = day.day
    return made


def _victim(seen: Seen) -> dict[str, Any]:
    victim = seen.record.victim
    name = victim_name(seen, "en")
    return {
        **({"victim_id": name} if name else {}),
        "country": [victim.country if victim and victim.country in COUNTRIES else "Unknown"],
        "employee_count": "Unknown",
        "industry": NAICS[victim.sector if victim else Sector.UNKNOWN],
        "government": [_GOVERNMENT.get(victim.organisation, "NA") if victim else "Unknown"],
    }


def _action(record: Record) -> dict[str, Any]:
    pairs = [VERIS_ACTION[kind] for kind in record.kinds]
    known = [attack.TABLE[t.id].veris for t in record.techniques if t.id in attack.TABLE]
    pairs += [pair for pair in known if pair is not None]
    made: dict[str, Any] = {}
    for action, variety in pairs:
        if action != "unknown":
            made.setdefault(action, []).append(variety)
    if not made:
        return {"unknown": {}}
    return {
        action: {
            "variety": _sure(varieties),
            **({"vector": ["Unknown"]} if action in _VECTORS else {}),
            **({"target": ["Unknown"]} if action == "social" else {}),
        }
        for action, varieties in made.items()
    }


def _sure(varieties: list[str]) -> list[str]:
    """Without doubles, and without Unknown beside something known."""
    once = list(dict.fromkeys(varieties))
    return [v for v in once if v != "Unknown"] or once


def _actor(record: Record) -> dict[str, Any]:
    motives = _sure([_MOTIVE[m.term] for m in record.motives]) or ["Unknown"]
    made: dict[str, Any] = {}
    for actor in record.actors:
        country = [actor.country] if actor.country in COUNTRIES else ["Unknown"]
        if actor.type in _EXTERNAL:
            one = made.setdefault("external", {"variety": [], "motive": motives, "country": [], "name": []})
            one["variety"].append(_EXTERNAL[actor.type])
            one["country"] += country
        elif actor.type in _INTERNAL:
            one = made.setdefault("internal", {"variety": [], "motive": motives})
            one["variety"].append(_INTERNAL[actor.type])
        elif actor.type is ActorType.PARTNER:
            one = made.setdefault("partner", {"motive": motives, "country": [], "name": []})
            one["country"] += country
        else:
            continue
        if actor.name and "name" in one:
            one["name"].append(actor.name)
    if "misuse" in _action(record) and not {"internal", "partner"} & set(made):
        made["internal"] = {"variety": ["Unknown"], "motive": motives}
    if not made and record.motives:
        made["external"] = {"variety": ["Unknown"], "motive": motives, "country": ["Unknown"]}
    for one in made.values():
        for key in ("variety", "country", "name"):
            if key in one:
                one[key] = _sure(one[key])
        if one.get("name") == []:
            del one["name"]
    return made or {"unknown": {}}


def _attribute(record: Record) -> dict[str, Any]:
    made: dict[str, Any] = {}
    disclosure = {
        Degree.ATTEMPTED: "Potentially",
        Degree.PARTIAL: "Yes",
        Degree.WHOLE: "Yes",
        Degree.UNKNOWN: "Unknown",
        Degree.NONE: "No",
    }[record.confidentiality.degree]
    if record.confidentiality != Effect():
        made["confidentiality"] = {"data_disclosure": disclosure}
        lost = [f for f in record.impact if f.unit in (Unit.RECORDS, Unit.PERSONS)]
        if disclosure == "Yes" and lost:
            made["confidentiality"]["data_total"] = max(int(f.value.partition(".")[0]) for f in lost)
    if record.integrity.degree in (Degree.PARTIAL, Degree.WHOLE):
        made["integrity"] = {"variety": ["Unknown"]}
    if record.availability.degree in (Degree.PARTIAL, Degree.WHOLE):
        variety = "Interruption" if record.availability.degree is Degree.WHOLE else "Degradation"
        made["availability"] = {"variety": [variety]}
        for figure in record.impact:
            if figure.unit in (Unit.SECONDS, Unit.MINUTES, Unit.HOURS, Unit.DAYS):
                unit = figure.unit.value.capitalize()
                made["availability"]["duration"] = {"unit": unit, "value": _number(figure.value)}
                break
    for name in ("confidentiality", "integrity", "availability"):
        note = getattr(record, name).note.best("en")
        if note and name in made:
            made[name]["notes"] = note
    return made or {"unknown": {}}


def _number(text: str) -> int | str | float:
    return float(text) if "." in text else int(text)


def _imply(made: dict[str, Any]) -> None:
    """What the actions demand elsewhere by the checker's rules."""
    for action, said in made["action"].items():
        for variety in ("", *said.get("variety", ())):
            for section, part, value in _IMPLIES.get((action, variety), ()):
                place = made.setdefault(section, {}).setdefault(part, {})
                place["variety"] = _sure([*place.get("variety", ()), value])
    if len(made["attribute"]) > 1:
        made["attribute"].pop("unknown", None)


# In


def read(content: bytes) -> Taken:
    """One VERIS incident or a list of them."""
    value = canonical.loads(content)
    listed = value if isinstance(value, list) else [value]
    if len(listed) > MOST_RECORDS:
        raise Refused(Code.TOO_MANY_ROWS, hint=f"at most {MOST_RECORDS}")
    if not listed or not any(isinstance(x, dict) and "schema_version" in x for x in listed):
        raise Refused(Code.UNREADABLE, hint="no VERIS incident: schema_version is missing")
    taken = Taken()
    for i, item in enumerate(listed):
        where = f"incidents[{i}]"
        try:
            if not isinstance(item, dict):
                raise Refused(Code.BAD_VALUE, hint="an object")
            taken.take(where, _ours(item, taken, where) or _strangers(item, taken, where))
        except Refused as problem:
            taken.refuse(where, problem)
    return taken


def _ours(item: dict[str, Any], taken: Taken, where: str) -> Entry | None:
    """The entry that an incident of ours carries, when the rest is exactly what it gives."""
    plus = item.get("plus")
    beside = plus.get("kangma") if isinstance(plus, dict) else None
    if not isinstance(beside, dict):
        return None
    try:
        numbers = {name: beside.get(name) for name in ("created", "modified", "version")}
        if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers.values()):
            raise Refused(Code.BAD_NUMBER)
        seen = Seen(
            from_json(beside.get("record")),
            beside.get("member") is True,
            hidden_of(beside.get("for_members")),
        )
        entry = Entry(seen, **numbers, withdrawn=beside.get("withdrawn") is True)  # type: ignore[arg-type]  # whole numbers, as asked above
        if not cannot(entry) and canonical.dumps(_plain(incident(entry))) == canonical.dumps(_plain(item)):
            return entry
    except (Refused, ValueError):
        pass
    taken.note(where, "the record beside it says something else than the VERIS fields: those were read")
    return None


def _plain(value: Any) -> Any:
    """Numbers as text: 1.0 and 1 come back from JSON as they please."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return str(float(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _strangers(item: dict[str, Any], taken: Taken, where: str) -> Entry:
    """A record from the fields of VERIS; its texts are taken for English."""
    pick = Pick(item, where)
    pick.ignore(
        "schema_version",
        "schema_name",
        "plus.kangma",
        "asset.cloud",
        "discovery_method.unknown",
        "victim.employee_count" if _unknown(item, "victim.employee_count") else "",
        "impact.overall_rating" if _unknown(item, "impact.overall_rating") else "",
    )
    named = pick.get("incident_id") or ""
    value: dict[str, Any] = {"id": _id_of(named)}
    if named and value["id"] != named:
        taken.note(f"{where}.incident_id", "not an id of ours: another was made from it")
    back = {theirs: ours.value for ours, theirs in reversed(_CERTAINTY.items())}
    value["certainty"] = back.get(pick.get("security_incident") or "", "unknown")
    if summary := pick.get("summary"):
        value["summary"] = {"en": summary[:LINE]}
        if len(summary) > LINE:
            value["description"] = {"en": summary}
    if notes := pick.get("notes"):
        value["description"] = {
            "en": "\n\n".join(filter(None, [value.get("description", {}).get("en"), notes]))
        }
    year, month, day = (pick.get(f"timeline.incident.{p}", int) for p in ("year", "month", "day"))
    if year:
        value["date"] = f"{year:04d}" + (f"-{month:02d}" + (f"-{day:02d}" if day else "") if month else "")
    value["victim"] = _strange_victim(pick, taken, where)
    value["kinds"] = _strange_kinds(pick, item, taken, where)
    _strange_actors(pick, value, taken, where)
    _strange_attributes(pick, item, value)
    value["sources"] = [{"url": u} for u in re.split(r"[;\s]+", pick.get("reference") or "") if u]
    if action := pick.get("corrective_action"):
        value["actions"] = [{"what": {"en": action}}]
    for path in pick.left():
        taken.note(path, "no place in a record")
    return Entry(Seen(from_json(value), True, {}), 0, 0)


def _unknown(item: Any, path: str) -> bool:
    for part in path.split("."):
        item = item.get(part) if isinstance(item, dict) else None
    return bool(item == "Unknown")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _id_of(named: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", named.lower()).strip("-")[:80].strip("-")
    return plain or "veris"


def _strange_victim(pick: Pick, taken: Taken, where: str) -> dict[str, Any]:
    countries = pick.texts("victim.country")
    known = [c for c in countries if c in COUNTRIES]
    industry = pick.get("victim.industry") or ""
    fits = [
        s
        for s, code in NAICS.items()
        if industry.startswith(code) or (industry and code.startswith(industry))
    ]
    sector = max(fits, key=lambda s: len(NAICS[s]), default=Sector.UNKNOWN)
    if industry and industry != NAICS[sector]:
        taken.note(f"{where}.victim.industry", f"read as {sector}")
    government = pick.texts("victim.government")
    back = {theirs: ours.value for ours, theirs in reversed(_GOVERNMENT.items())}
    organisation = next(
        (back[g] for g in government if g in back), "other" if "NA" in government else "unknown"
    )
    return {
        "name": pick.get("victim.victim_id") or "",
        "country": known[0] if len(known) == 1 else "several" if known else "unknown",
        "sector": sector.value,
        "organisation": organisation,
    }


def _strange_kinds(pick: Pick, item: dict[str, Any], taken: Taken, where: str) -> list[str]:
    kinds: dict[str, None] = {}
    back = {pair: kind.value for kind, pair in reversed(VERIS_ACTION.items())}
    rough = {
        "hacking": "unauthorised-access", "malware": "malware", "social": "deception", "misuse": "misuse",
        "physical": "other", "error": "other", "environmental": "other", "unknown": "unknown",
    }  # fmt: skip
    actions = _object(item.get("action"))
    for action in actions:
        varieties = pick.texts(f"action.{action}.variety")
        for path in ("vector", "target"):
            inner = actions[action]
            if isinstance(inner, dict) and inner.get(path) == ["Unknown"]:
                pick.ignore(f"action.{action}.{path}")
        if actions[action] == {}:
            pick.ignore(f"action.{action}")
        for variety in varieties or [""]:
            exact = back.get((action, variety))
            kinds[exact or rough.get(action, "other")] = None
            if not exact and action != "unknown":
                taken.note(f"{where}.action.{action}.variety", f"{variety[:60]!r}: only the action was taken")
    return list(kinds)


def _strange_actors(pick: Pick, value: dict[str, Any], taken: Taken, where: str) -> None:
    external = {theirs: ours.value for ours, theirs in reversed(_EXTERNAL.items())}
    motive = {theirs: ours.value for ours, theirs in _MOTIVE.items()}
    actors, motives = [], dict[str, None]()
    for side in ("external", "internal", "partner"):
        varieties = pick.texts(f"actor.{side}.variety") or (
            ["Unknown"] if pick.texts(f"actor.{side}.motive") else []
        )
        countries = [c for c in pick.texts(f"actor.{side}.country") if c in COUNTRIES]
        names = pick.texts(f"actor.{side}.name")
        for i, variety in enumerate(varieties):
            kind = (
                external.get(variety, "other")
                if side == "external"
                else "insider"
                if side == "internal"
                else "partner"
            )
            if side == "internal" and variety not in ("Other", "Unknown"):
                taken.note(f"{where}.actor.internal.variety", f"{variety[:60]!r}: taken as an insider")
            if side == "external" and variety not in external:
                taken.note(f"{where}.actor.external.variety", f"{variety[:60]!r}: taken as other")
            actor = {"type": kind, "attribution": "attributed" if kind != "unknown" else "none"}
            if i < len(names):
                actor["name"] = names[i]
            if len(countries) == 1:
                actor["country"] = countries[0]
            actors.append(actor)
        if len(countries) > 1:
            taken.note(f"{where}.actor.{side}.country", "more than one country")
        for extra in names[len(varieties) :]:
            actors.append({"name": extra, "attribution": "attributed"})
        motives |= {motive[m]: None for m in pick.texts(f"actor.{side}.motive") if m in motive}
    pick.ignore("actor.unknown" if pick.get("actor.unknown", dict) == {} else "")
    value["actors"] = actors
    value["motives"] = [{"term": m, "basis": "assessed"} for m in motives]


def _strange_attributes(pick: Pick, item: dict[str, Any], value: dict[str, Any]) -> None:
    attribute = _object(item.get("attribute"))
    disclosure = {"No": "none", "Potentially": "attempted", "Yes": "partial", "Unknown": "unknown"}
    if "confidentiality" in attribute:
        said = pick.get("attribute.confidentiality.data_disclosure") or "Unknown"
        value["confidentiality"] = {"degree": disclosure.get(said, "unknown")}
        total = pick.get("attribute.confidentiality.data_total", int)
        if total is not None and 0 <= total < 10**15:
            value.setdefault("impact", []).append({"value": str(total), "unit": "records"})
    if "integrity" in attribute:
        value["integrity"] = {"degree": "partial"}
        if pick.texts("attribute.integrity.variety") == ["Unknown"]:
            pick.ignore("attribute.integrity.variety")
    if "availability" in attribute:
        varieties = pick.texts("attribute.availability.variety")
        whole = bool({"Interruption", "Destruction", "Loss"} & set(varieties))
        value["availability"] = {"degree": "whole" if whole else "partial"}
        number = pick.get("attribute.availability.duration.value", (int, float))
        unit = (pick.get("attribute.availability.duration.unit") or "").lower()
        if number is not None and unit in list(Unit):
            value.setdefault("impact", []).append(
                {"value": f"{number:.4f}".rstrip("0").rstrip("."), "unit": unit}
            )
    for name in ("confidentiality", "integrity", "availability"):
        if name in value and (note := pick.get(f"attribute.{name}.notes")):
            value[name]["note"] = {"en": note}
    pick.ignore("attribute.unknown" if attribute.get("unknown") == {} else "")
