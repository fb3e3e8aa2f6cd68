"""Named limits: how much of an input is read before it is refused, and which attack each one stops."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes unless said otherwise. A sender within all of them costs bounded memory, whatever it sends."""

    file_bytes: int = 8 << 30  # a disk filled by one upload → too_many_bytes
    rows: int = 20_000_000  # a table that never ends; a day of a city of 2 million fits → too_many_rows
    columns: int = 256  # a header of 10,000 columns, each costing an array a batch → too_many_columns
    line_bytes: int = MIB  # one endless line, or a quote that is never closed → line_too_long
    value_bytes: int = 4_096  # a cell that holds a book, repeated by a dictionary → value_too_long
    depth: int = 64  # JSON nested until the parser's stack ends (levels) → too_deep
    digits: int = 18  # numbers whose parsing is quadratic; before and after the point each → too_many_digits
    message_bytes: int = 16 * MIB  # one message that must be held whole: FHIR, HL7 v2, JSON → too_many_bytes
    inflated_bytes: int = 16 << 30  # a small file that claims to unpack into a large one → inflates_too_much
    inflated_ratio: int = 1_000  # unpacked to packed; honest tables stay below 100 → inflates_too_much
    inflated_chunk: int = 256 * MIB  # one column of one Parquet row group, unpacked → inflates_too_much
    inflated_page: int = 64 * MIB  # one page, which a reader unpacks whole → inflates_too_much
    pages: int = 200_000  # endless tiny pages, each with a header to read → inflates_too_much
    footer_bytes: int = 4 * MIB  # a Parquet footer, read before anything can be checked → inflates_too_much
    batch_rows: int = 65_536  # rows held as columns at a time: our own memory, not the sender's fault
    batch_bytes: int = 64 * MIB  # cells held at a time, when a dictionary repeats long ones
    repeated_bytes: int = 256  # a value that a Parquet dictionary may repeat for every row of a batch in full
    known_persons: int = 1_000_000  # person keys remembered while one input is read, 25 bytes each


DEFAULT = Limits()
