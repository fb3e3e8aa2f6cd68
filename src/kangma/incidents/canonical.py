"""JSON, strictly: one writing of one value, and a reader that hostile bytes cannot surprise.

Written: UTF-8, keys sorted, no blanks, only objects, lists, texts, whole numbers, truths and null. For these the
writing is that of RFC 8785, since all our keys are ASCII.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from kangma.errors import Code, Refused, Where

#: Of a file that is taken in. A single absurd value is refused by itself, so a file may be larger than a record.
MOST_BYTES = 256 * 2**20
DEEPEST = 64
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def dumps(value: Any) -> bytes:
    """The one writing of `value`."""
    return _ENCODER.encode(value).encode()


def text_of(content: bytes, *, most: int = MOST_BYTES) -> str:
    """Bytes as text. Refused: too_many_bytes; not_utf8, with the line. A byte order mark is taken off."""
    if len(content) > most:
        raise Refused(Code.TOO_MANY_BYTES, hint=f"at most {most // 2**20} MiB")
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise Refused(Code.NOT_UTF8, Where(line=line)) from None


def loads(content: bytes | str, *, most: int = MOST_BYTES) -> Any:
    """The value. Refused: as `text_of`; unreadable for what is no JSON, NaN among it; duplicate_column for an object
    that says a key twice; too_deep; too_many_digits."""
    text = content if isinstance(content, str) else text_of(content, most=most)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise Refused(Code.TOO_DEEP, hint=f"at most {DEEPEST} levels") from None
    except json.JSONDecodeError as problem:
        raise Refused(Code.UNREADABLE, Where(line=problem.lineno), "not JSON") from None
    except ValueError:  # int() of thousands of digits
        raise Refused(Code.TOO_MANY_DIGITS) from None
    if _deeper(value, DEEPEST):
        raise Refused(Code.TOO_DEEP, hint=f"at most {DEEPEST} levels")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Refused(Code.DUPLICATE_COLUMN, hint="an object says a key twice")
    return made


def _constant(_: str) -> NoReturn:
    raise Refused(Code.BAD_NUMBER, hint="NaN and Infinity are no JSON")


def _deeper(value: Any, most: int) -> bool:
    layer = [value]
    for _ in range(most):
        layer = [
            child
            for item in layer
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not layer:
            return False
    return True
