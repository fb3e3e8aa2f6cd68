"""Any number of invented people, with numbers, names and phones that can be looked for."""

from __future__ import annotations

from hamlet import Person, Tables

#: With these begin the number, the phone and the name of everybody in a crowd.
MARKS = ("KXCANARY", "1006660", "䶮靁齾")


def crowd(n: int) -> list[Person]:
    return [Person("20", f"KXCANARY{i:05d}", f"䶮靁齾{chr(0x3500 + i)}", f"1006660{i:04d}") for i in range(n)]


def registered_people(people: list[Person]) -> Tables:
    """The table `people` of them."""
    return {
        "people": [
            p.named
            | {"name": p.name, "birth_date": "1990-01-01", "phone": p.phone, "district": "朝阳区",
               "guardian_id_type": "", "guardian_id_number": ""}
            for p in people
        ]
    }  # fmt: skip
