"""docs/formats/incident.md is true to the byte, and names every field and every kind."""

from __future__ import annotations

import json
import re
from pathlib import Path

from kangma.incidents import statement
from kangma.incidents.exchange import mapping
from kangma.incidents.form import decode, encode
from kangma.incidents.levels import seen_by
from kangma.incidents.life import Change
from kangma.incidents.record import FIELDS
from kangma.incidents.vocabulary import Certainty, Degree, Kind
from kangma.signing.keys import Algorithm, Environment, KeySigner

PAGE = (Path(__file__).parents[2] / "docs/formats/incident.md").read_text("utf-8")


def test_the_example_is_what_the_code_makes() -> None:
    whole, public, entry = re.findall(r"^```json\n(.*?)\n```$", PAGE, re.M | re.S)
    record = decode(whole.encode())
    assert encode(record).decode() == whole
    seen = seen_by(record, member=False)
    assert encode(seen.record).decode() == public
    assert f"`{json.dumps(seen.hidden)}`" in PAGE
    made = statement.state(record, version=1, change=Change.FIRST, at=1651104000, salt=bytes(range(32)))
    assert made.entry.decode() == "\x02" + entry
    signer = KeySigner(Algorithm.EDDSA, bytes(32), Environment.DEVELOPMENT)
    (signed,) = re.findall(r"^```text\n(.*?)\n```$", PAGE, re.M | re.S)
    assert statement.sign(made, signer).hex() == signed.replace("\n", "")
    assert statement.verify(bytes.fromhex(signed.replace("\n", "")), signer.public) == made


def test_every_field_and_every_term_that_it_lists_is_there() -> None:
    for name in (*FIELDS, *Kind, *Certainty, *Degree):
        assert f"`{name}`" in PAGE, name


def test_the_mapping_of_the_page_is_one() -> None:
    (text,) = re.findall(r"^```toml\n(.*?)\n```$", PAGE, re.M | re.S)
    assert mapping.load(text).fields["victim.name"].column == "Receiver"
