"""Which codes of other standards are a SARS-CoV-2 test, a result, a vaccine.

The code decides, never the text beside it: a display name is what somebody typed. A code that is not in these tables
is not taken; a health department extends them with `CODES.extended(...)`. LOINC codes are facts of loinc.org, used
under its licence; each carries its own check digit, which a test verifies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Method = Literal["nat", "antigen"]
Result = Literal["negative", "positive", "invalid", "pending"]

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
CVX = "http://hl7.org/fhir/sid/cvx"
ATC = "http://www.whocc.no/atc"

# The names that HL7 v2 (table 0396) and senders give the same code systems.
SYSTEMS = {
    "LN": LOINC,
    "LNC": LOINC,
    "LOINC": LOINC,
    "2.16.840.1.113883.6.1": LOINC,
    "urn:oid:2.16.840.1.113883.6.1": LOINC,
    "SCT": SNOMED,
    "SNM": SNOMED,
    "SNOMED": SNOMED,
    "SNOMED-CT": SNOMED,
    "2.16.840.1.113883.6.96": SNOMED,
    "urn:oid:2.16.840.1.113883.6.96": SNOMED,
    "CVX": CVX,
    "urn:oid:2.16.840.1.113883.12.292": CVX,
}


def system(name: str) -> str:
    """The canonical name of a code system, or the name itself."""
    return SYSTEMS.get(name.strip(), name.strip())


@dataclass(frozen=True, slots=True)
class Assay:
    """What one observation code measures. `whole` False: one gene of several, which alone does not decide."""

    method: Method
    whole: bool = True


# RNA present or not, in any specimen: the laboratory's answer for the sample.
_RNA = (
    "94309-2",
    "94500-6",
    "94502-2",
    "94565-9",
    "94647-5",
    "94660-8",
    "94759-8",
    "94822-4",
    "94845-5",
    "95406-5",
    "95424-8",
    "95608-6",
    "96797-6",
)
# One gene present or not. With an answer for the sample beside it, that answer decides.
_GENE = (
    "94307-6",
    "94308-4",
    "94314-2",
    "94315-9",
    "94316-7",
    "94533-7",
    "94534-5",
    "94559-2",
    "94639-2",
    "94640-0",
    "94641-8",
    "94756-4",
    "94757-2",
    "94758-0",
    "94760-6",
    "94765-5",
    "94766-3",
    "94767-1",
    "95409-9",
    "95425-5",
    "95609-4",
    "95823-1",
    "95824-9",
    "96091-4",
    "96120-1",
    "96121-9",
    "96122-7",
    "96123-5",
    "96448-6",
    "96763-8",
    "96765-3",
    "96957-6",
    "96958-4",
    "96986-5",
    "97098-8",
    "98131-6",
    "98132-4",
    "98493-0",
    "98494-8",
)
_ANTIGEN = ("94558-4", "95209-3", "96119-3", "97097-0")

# Codes that are near enough to be taken for a SARS-CoV-2 result and are none. The words go to the sender.
NOT_SARS_COV_2 = {
    "41458-1": "41458-1 is SARS-CoV of 2003, whatever its local name says",
    "94501-4": "94501-4 is MERS-CoV",
    "94532-9": "94532-9 does not tell SARS-CoV-2 from MERS-CoV",
    "94310-0": "94310-0 is any SARS-like coronavirus",
    "94313-4": "94313-4 is a cycle count of any SARS-like coronavirus",
    "94763-0": "94763-0 is a culture",
    "94563-4": "94563-4 is an antibody (IgG)",
    "94564-2": "94564-2 is an antibody (IgM)",
    "94562-6": "94562-6 is an antibody (IgA)",
    "94547-7": "94547-7 is an antibody (IgG and IgM)",
    "94507-1": "94507-1 is an antibody (IgG)",
    "94508-9": "94508-9 is an antibody (IgM)",
    "94762-2": "94762-2 is an antibody",
    "94661-6": "94661-6 is an antibody",
    "94768-9": "94768-9 is an antibody (IgA)",
    "94761-4": "94761-4 is an antibody (IgG)",
    "94306-8": "94306-8 is a panel; its members carry the results",
    "94531-1": "94531-1 is a panel; its members carry the results",
    "95380-2": "95380-2 is a panel; its members carry the results",
    "95422-2": "95422-2 is a panel; its members carry the results",
    "95423-0": "95423-0 is a panel; its members carry the results",
    "95941-1": "95941-1 is a panel; its members carry the results",
}

_RESULTS: dict[tuple[str, str], Result] = {
    (SNOMED, "260373001"): "positive",  # detected
    (SNOMED, "10828004"): "positive",
    (SNOMED, "720735008"): "positive",  # presumptive positive: positive until refuted by a corrected result
    (SNOMED, "462371000124108"): "positive",  # detected in pooled specimen
    (SNOMED, "260415000"): "negative",  # not detected
    (SNOMED, "260385009"): "negative",
    (SNOMED, "895231008"): "negative",  # not detected in pooled specimen
    (SNOMED, "419984006"): "invalid",  # inconclusive
    (SNOMED, "82334004"): "invalid",  # indeterminate
    (SNOMED, "280416009"): "invalid",  # indeterminate result
    (SNOMED, "42425007"): "invalid",  # equivocal
    (SNOMED, "125154007"): "invalid",  # specimen unsatisfactory for evaluation
    (SNOMED, "455371000124106"): "invalid",  # invalid result
    (SNOMED, "373121007"): "invalid",  # test not done
    (SNOMED, "255599008"): "invalid",  # incomplete
    (LOINC, "LA6576-8"): "positive",
    (LOINC, "LA11882-0"): "positive",  # detected
    (LOINC, "LA6577-6"): "negative",
    (LOINC, "LA11883-8"): "negative",  # not detected
    (LOINC, "LA9663-1"): "invalid",  # inconclusive
    (LOINC, "LA11884-6"): "invalid",  # indeterminate
    (LOINC, "LA15841-2"): "invalid",
}
_POOLED = {(SNOMED, "462371000124108"), (SNOMED, "895231008")}

# Whole answers in words, compared without case, spaces at the ends and a closing full stop.
_WORDS: dict[str, Result] = {
    "detected": "positive",
    "positive": "positive",
    "pos": "positive",
    "presumptive positive": "positive",
    "reactive": "positive",
    "阳性": "positive",
    "检出": "positive",
    "not detected": "negative",
    "none detected": "negative",
    "undetected": "negative",
    "negative": "negative",
    "neg": "negative",
    "non-reactive": "negative",
    "nonreactive": "negative",
    "阴性": "negative",
    "未检出": "negative",
    "inconclusive": "invalid",
    "indeterminate": "invalid",
    "equivocal": "invalid",
    "invalid": "invalid",
    "unsatisfactory": "invalid",
    "specimen unsatisfactory for evaluation": "invalid",
    "not performed": "invalid",
    "not tested": "invalid",
    "test not performed": "invalid",
    "test not done": "invalid",
    "cancelled": "invalid",
    "canceled": "invalid",
    "无效": "invalid",
    "可疑": "invalid",
    "pending": "pending",
    "待复核": "pending",
    "检测中": "pending",
}

# COVID-19 vaccines of the CVX list. Another CVX code is another vaccine, and not taken.
_VACCINES: dict[tuple[str, str], str] = {
    **dict.fromkeys(
        [(CVX, c) for c in ("207", "221", "227", "228", "229", "230", "311", "312")], "Moderna mRNA"
    ),
    **dict.fromkeys(
        [(CVX, c) for c in ("208", "217", "218", "219", "300", "301", "302", "308", "309", "310")],
        "Pfizer-BioNTech mRNA",
    ),
    (CVX, "210"): "AstraZeneca ChAdOx1",
    (CVX, "211"): "Novavax",
    (CVX, "313"): "Novavax",
    (CVX, "212"): "Janssen Ad26",
    (CVX, "213"): "COVID-19, unspecified",
    (CVX, "500"): "COVID-19, unspecified",
    (CVX, "502"): "Covaxin",
    (CVX, "504"): "Sputnik Light",
    (CVX, "505"): "Sputnik V",
    (CVX, "506"): "CanSino Ad5",
    (CVX, "509"): "EpiVacCorona",
    (CVX, "510"): "Sinopharm BIBP",
    (CVX, "511"): "Sinovac CoronaVac",
    (CVX, "513"): "Zifivax",
    (CVX, "516"): "Kconvac",
    (SNOMED, "840534001"): "COVID-19, unspecified",
    (SNOMED, "1119349007"): "COVID-19 mRNA, unspecified",
    (SNOMED, "1119305005"): "COVID-19 antigen, unspecified",
    (ATC, "J07BX03"): "COVID-19, unspecified",
    (ATC, "J07BN01"): "COVID-19 mRNA, unspecified",
    (ATC, "J07BN02"): "COVID-19 vector, unspecified",
    (ATC, "J07BN03"): "COVID-19 inactivated, unspecified",
    (ATC, "J07BN04"): "COVID-19 protein, unspecified",
}
_VACCINE_SYSTEMS_WITH_OTHERS = {CVX, ATC, SNOMED}


@dataclass(frozen=True)
class Codes:
    """The tables as one value. Keys are (canonical code system, code)."""

    assays: Mapping[tuple[str, str], Assay]
    results: Mapping[tuple[str, str], Result]
    words: Mapping[str, Result]
    vaccines: Mapping[tuple[str, str], str]
    not_assays: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def extended(
        self,
        *,
        assays: Mapping[tuple[str, str], Assay] | None = None,
        results: Mapping[tuple[str, str], Result] | None = None,
        vaccines: Mapping[tuple[str, str], str] | None = None,
    ) -> Codes:
        """These tables and more, e.g. one laboratory's local codes: `{("L", "COVPCR"): Assay("nat")}`."""
        return replace(
            self,
            assays={**self.assays, **(assays or {})},
            results={**self.results, **(results or {})},
            vaccines={**self.vaccines, **(vaccines or {})},
        )

    def assay(self, codings: Iterable[tuple[str, str]]) -> Assay | None:
        """The test that one of a concept's codings names. Codings are alternatives for one meaning."""
        return next((self.assays[c] for c in codings if c in self.assays), None)

    def why_not(self, codings: Iterable[tuple[str, str]]) -> str:
        """Words for the sender when a near code was met; else empty."""
        return next((self.not_assays[c] for c in codings if c in self.not_assays), "")

    def result(self, codings: Iterable[tuple[str, str]], text: str) -> tuple[Result | None, bool]:
        """(result, found in a pool) of a coded answer or, without a known code, of its text; (None, …) if unknown."""
        for coding in codings:
            if coding in self.results:
                return self.results[coding], coding in _POOLED
        return self.words.get(text.strip().rstrip(".。").strip().lower()), False

    def product(self, codings: Iterable[tuple[str, str]]) -> str | None:
        """The vaccine's name; `system|code` for a system that lists nothing else that we know; None for another
        vaccine."""
        named = list(codings)
        for coding in named:
            if coding in self.vaccines:
                return self.vaccines[coding]
        if any(s in _VACCINE_SYSTEMS_WITH_OTHERS for s, _ in named):
            return None
        return next((f"{s}|{c}" for s, c in named if s and c), None)


CODES = Codes(
    assays={
        **{(LOINC, c): Assay("nat") for c in _RNA},
        **{(LOINC, c): Assay("nat", whole=False) for c in _GENE},
        **{(LOINC, c): Assay("antigen") for c in _ANTIGEN},
    },
    results=_RESULTS,
    words=_WORDS,
    vaccines=_VACCINES,
    not_assays={(LOINC, c): why for c, why in NOT_SARS_COV_2.items()},
)


def fold(answers: Iterable[tuple[Assay, Result]]) -> Result:
    """One sample's answer from its observations of one method.

    An answer for the sample outranks the genes. Where those that count do not agree, the sample is inconclusive
    (`invalid`); while one of them is pending, so is the sample. Needs at least one answer.
    """
    known = list(answers)
    said = {r for a, r in known if a.whole} or {r for _, r in known}
    if len(said) == 1:
        return said.pop()
    return "pending" if "pending" in said else "invalid"
