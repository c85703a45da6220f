"""Short texts that messages and reports are made of: counts, lists of names, dimensions, durations."""

import re
from collections.abc import Iterable, Sequence


def counted(count: int, plural: str) -> str:
    """Return a count and its noun, such as '1 patient' or '1,200 patches'."""
    singular = re.sub(r"(?:(?<=ch|ss)e)?s$", "", plural)
    return f"{count:,} {plural if count != 1 else singular}"


def quoted(names: Iterable[str]) -> list[str]:
    """Return the names in single quotation marks."""
    return [f"'{name}'" for name in names]


def join_words(items: Sequence[str], conjunction: str = "and") -> str:
    """Return a list as text: 'a', 'a and b', 'a, b and c'."""
    return f" {conjunction} ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def dimensions(size: Iterable[int]) -> str:
    """Return a height and a width as text, such as '64x96'."""
    return "x".join(str(side) for side in size)


def duration(seconds: float) -> str:
    """Return a rounded duration as text: '40 s', '12 min', '3 h 20 min', '2 days 5 h'."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(round(seconds / 600) * 10, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} days {hours} h" if hours else f"{days} days"
