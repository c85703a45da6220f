"""Cron lines as Kubeflow Pipelines reads them: six fields, seconds first.

The scheduler cannot read a time zone in a line (it parses with robfig/cron 1.2, which takes 'TZ=…' for a seventh
field). It runs every line in one zone for the whole cluster, `cronScheduleTimezone`, UTC by default. It would read five
fields as six without a weekday, so '0 3 * * 0' would not mean what users of cron expect: such lines are rejected here.
"""

import re
from dataclasses import dataclass

from histoforge.core.errors import SettingsError

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_ITEM = re.compile(r"(?P<low>\*|\?|\w+)(?:-(?P<high>\w+))?(?:/(?P<step>[0-9]+))?")


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 6, _DAYS),
)


def check_cron(line: str) -> None:
    """Check that Kubeflow accepts a line.

    Raises:
        SettingsError: the line does not have six fields, or a field is out of bounds.
    """
    texts = line.split()
    if len(texts) != len(_FIELDS):
        hint = f"write '0 {line.strip()}'" if len(texts) == 5 else "write for example '0 0 3 * * SUN'"
        raise SettingsError(
            f"The cron line '{line}' has {len(texts)} fields, but Kubeflow requires six, "
            f"second minute hour day month weekday: {hint}."
        )
    for text, field in zip(texts, _FIELDS, strict=True):
        for item in text.split(","):
            if not _is_valid(item, field):
                names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
                raise SettingsError(
                    f"The cron line '{line}' has '{item}' as its {field.name}: give numbers from {field.low} to "
                    f"{field.high}{names}."
                )


def _is_valid(item: str, field: _Field) -> bool:
    match = _ITEM.fullmatch(item)
    if not match or match["step"] == "0" * len(match["step"] or ""):
        return False
    if match["low"] in ("*", "?"):
        return not match["high"]
    low, high = _number(match["low"], field), _number(match["high"] or match["low"], field)
    return low is not None and high is not None and low <= high


def _number(text: str, field: _Field) -> int | None:
    if text.upper() in field.names:
        return field.names.index(text.upper()) + field.low
    return int(text) if text.isdecimal() and field.low <= int(text) <= field.high else None
