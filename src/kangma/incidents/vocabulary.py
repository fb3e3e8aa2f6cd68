"""The closed vocabularies of a record. `unknown` is a value wherever something may not be known.

Motives and kinds of actor are terms of VERIS 1.4.1 in our spelling; each vocabulary says what it becomes there.
"""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """Who sees a field: everybody, or members of the register only (who are told of how many there are: everybody)."""

    PUBLIC = "public"
    MEMBER = "member"


class Certainty(StrEnum):
    """Whether it happened at all."""

    CONFIRMED = "confirmed"
    SUSPECTED = "suspected"
    NEAR_MISS = "near-miss"
    FALSE_ALARM = "false-alarm"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """What sort of incident. VERIS_ACTION says which action of VERIS each becomes."""

    DENIAL_OF_SERVICE = "denial-of-service"
    UNAUTHORISED_ACCESS = "unauthorised-access"
    ENUMERATION = "enumeration"  # one record after another, by counting or guessing
    STOLEN_CREDENTIALS = "stolen-credentials"
    FORGERY = "forgery"  # of what the system issues
    MALWARE = "malware"
    DECEPTION = "deception"  # people were deceived: phishing, pretexts
    MISUSE = "misuse"  # by somebody with rights
    PURPOSE_CHANGE = "purpose-change"  # data used for what it was not collected for
    EXPOSURE = "exposure"  # data open to those who should not see it, without an attack
    OVERLOAD = "overload"  # too many honest users
    PROGRAMMING_ERROR = "programming-error"
    CONFIGURATION_ERROR = "configuration-error"
    DATA_ERROR = "data-error"  # wrong, lost or late data
    THEFT = "theft"  # of a thing
    OTHER = "other"
    UNKNOWN = "unknown"


#: Kind → (action of VERIS, its variety).
VERIS_ACTION: dict[Kind, tuple[str, str]] = {
    Kind.DENIAL_OF_SERVICE: ("hacking", "DoS"),
    Kind.UNAUTHORISED_ACCESS: ("hacking", "Unknown"),
    Kind.ENUMERATION: ("hacking", "Forced browsing"),
    Kind.STOLEN_CREDENTIALS: ("hacking", "Use of stolen creds"),
    Kind.FORGERY: ("hacking", "Other"),
    Kind.MALWARE: ("malware", "Unknown"),
    Kind.DECEPTION: ("social", "Unknown"),
    Kind.MISUSE: ("misuse", "Privilege abuse"),
    Kind.PURPOSE_CHANGE: ("misuse", "Data mishandling"),
    Kind.EXPOSURE: ("error", "Publishing error"),
    Kind.OVERLOAD: ("error", "Capacity shortage"),
    Kind.PROGRAMMING_ERROR: ("error", "Programming error"),
    Kind.CONFIGURATION_ERROR: ("error", "Misconfiguration"),
    Kind.DATA_ERROR: ("error", "Data entry error"),
    Kind.THEFT: ("physical", "Theft"),
    Kind.OTHER: ("hacking", "Other"),
    Kind.UNKNOWN: ("unknown", ""),
}


class Organisation(StrEnum):
    """What kind of organisation the victim is. Government levels are those of VERIS (federal, regional, local)."""

    NATIONAL_GOVERNMENT = "national-government"
    REGIONAL_GOVERNMENT = "regional-government"
    LOCAL_GOVERNMENT = "local-government"
    PUBLIC_SERVICE = "public-service"  # run for a government
    INTERNATIONAL = "international"
    COMPANY = "company"
    LABORATORY = "laboratory"
    HOSPITAL = "hospital"
    NON_PROFIT = "non-profit"
    EVENT = "event"  # games, fairs
    OTHER = "other"
    UNKNOWN = "unknown"


class Sector(StrEnum):
    """What the victim does. NAICS says which code of the North American Industry Classification each becomes."""

    PUBLIC_HEALTH = "public-health"
    HEALTH_CARE = "health-care"
    PUBLIC_ADMINISTRATION = "public-administration"
    JUSTICE = "justice"
    SOCIAL_SERVICES = "social-services"
    EDUCATION = "education"
    INFORMATION = "information"
    FINANCE = "finance"
    TRANSPORT = "transport"
    ENERGY = "energy"
    MANUFACTURING = "manufacturing"
    TRADE = "trade"
    PROFESSIONAL = "professional"
    HOSPITALITY = "hospitality"
    SPORT_AND_CULTURE = "sport-and-culture"
    AGRICULTURE = "agriculture"
    CONSTRUCTION = "construction"
    OTHER = "other"
    UNKNOWN = "unknown"


NAICS: dict[Sector, str] = {
    Sector.PUBLIC_HEALTH: "923120",
    Sector.HEALTH_CARE: "62",
    Sector.PUBLIC_ADMINISTRATION: "921",
    Sector.JUSTICE: "922",
    Sector.SOCIAL_SERVICES: "624",
    Sector.EDUCATION: "61",
    Sector.INFORMATION: "51",
    Sector.FINANCE: "52",
    Sector.TRANSPORT: "48",
    Sector.ENERGY: "22",
    Sector.MANUFACTURING: "31",
    Sector.TRADE: "44",
    Sector.PROFESSIONAL: "54",
    Sector.HOSPITALITY: "72",
    Sector.SPORT_AND_CULTURE: "71",
    Sector.AGRICULTURE: "11",
    Sector.CONSTRUCTION: "23",
    Sector.OTHER: "81",
    Sector.UNKNOWN: "00",
}


class Degree(StrEnum):
    """How far an attribute was hurt."""

    NONE = "none"
    ATTEMPTED = "attempted"
    PARTIAL = "partial"
    WHOLE = "whole"
    UNKNOWN = "unknown"


class Term(StrEnum):
    """Motives, the terms of VERIS."""

    CONVENIENCE = "convenience"
    ESPIONAGE = "espionage"
    FEAR = "fear"
    FINANCIAL = "financial"
    FUN = "fun"
    GRUDGE = "grudge"
    IDEOLOGY = "ideology"
    NONE = "none"  # NA of VERIS: nobody wanted it
    SECONDARY = "secondary"
    OTHER = "other"
    UNKNOWN = "unknown"


class Confidence(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NONE = "none"
    UNKNOWN = "unknown"


class Basis(StrEnum):
    """Where a motive is taken from: the actor said so, somebody who investigated says so, or people guess."""

    CLAIMED = "claimed"
    ASSESSED = "assessed"
    SPECULATED = "speculated"


class ActorType(StrEnum):
    """Who did it. Inside and partner are actors of their own in VERIS, the rest are varieties of external ones."""

    INSIDER = "insider"
    OFFICIAL = "official"  # an insider of a public authority, using its powers
    PARTNER = "partner"
    ACTIVIST = "activist"
    COMPETITOR = "competitor"
    CUSTOMER = "customer"
    FORMER_EMPLOYEE = "former-employee"
    CRIME = "organised-crime"
    STATE = "nation-state"
    STATE_AFFILIATED = "state-affiliated"
    TERRORIST = "terrorist"
    RESEARCHER = "researcher"  # looked, and told
    UNAFFILIATED = "unaffiliated"
    NOBODY = "nobody"  # no actor: an error or too many users
    OTHER = "other"
    UNKNOWN = "unknown"


class Attribution(StrEnum):
    NONE = "none"
    CLAIMED = "claimed"  # by the actor
    SUSPECTED = "suspected"
    ATTRIBUTED = "attributed"
    CONVICTED = "convicted"


class Unit(StrEnum):
    """What an impact figure counts."""

    PERSONS = "persons"
    RECORDS = "records"
    CERTIFICATES = "certificates"
    RESULTS = "results"
    SOURCES = "sources"  # addresses that an attack came from
    REQUESTS = "requests"
    REQUESTS_PER_MINUTE = "requests/min"
    TIMES_USUAL = "times-usual"
    EVENTS = "events"
    SECONDS = "seconds"
    MINUTES = "minutes"
    HOURS = "hours"
    DAYS = "days"
    BYTES = "bytes"
    PERCENT = "percent"
    CNY = "CNY"
    EUR = "EUR"
    GBP = "GBP"
    USD = "USD"
    OTHER = "other"


class Exactness(StrEnum):
    EXACT = "exact"
    ABOUT = "about"
    AT_LEAST = "at-least"
    AT_MOST = "at-most"
    CLAIMED = "claimed"  # by somebody with an interest in the figure


class Relation(StrEnum):
    """How another record stands to this one."""

    RELATED = "related"
    SAME_CAMPAIGN = "same-campaign"
    LED_TO = "led-to"
    DUPLICATE_OF = "duplicate-of"


class Reliability(StrEnum):
    """Of a source, the Admiralty scale."""

    A = "A"  # completely reliable
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"  # cannot be judged


class Licence(StrEnum):
    """Of a picture. Ours, the public's, or one that lets us show it."""

    OWN = "own"
    CC0 = "CC0-1.0"
    CC_BY = "CC-BY-4.0"
    CC_BY_SA = "CC-BY-SA-4.0"
    PUBLIC_DOMAIN = "public-domain"
    PERMITTED = "permitted"  # by whom, says the credit


#: ISO 3166-1 alpha-2, with XK for Kosovo, as VERIS lists them.
COUNTRIES = frozenset(
    """AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO
    FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM
    TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XK""".split()  # noqa: SIM905  250 quoted codes would be harder to read
)
#: What `country` may also be.
UNKNOWN_COUNTRY, SEVERAL_COUNTRIES = "unknown", "several"
