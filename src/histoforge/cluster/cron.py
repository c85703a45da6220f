"""Cron lines as Kubeflow Pipelines reads them: six fields, seconds first, in the time zone of the cluster's scheduler.

The scheduler cannot read a zone in a line (it parses with robfig/cron 1.2, which takes 'TZ=…' for a seventh field). It
runs every line in one zone for the whole cluster, `cronScheduleTimezone`, UTC by default. A line in another zone is
therefore shifted by the difference between the two zones at a given moment. The scheduler would read five fields as six
without a weekday, so '0 3 * * 0' would not mean what cron's users expect; lines of five fields are rejected here.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from histoforge.core.errors import SettingsError

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_PART = re.compile(r"(?P<low>\*|\?|\w+)(?:-(?P<high>\w+))?(?:/(?P<step>[0-9]+))?")


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
    _parse(line)


def zone_named(name: str) -> ZoneInfo:
    """Return the time zone of that name, such as 'Europe/Berlin'.

    Raises:
        SettingsError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(f"There is no time zone '{name}': give one such as 'UTC' or 'Europe/Berlin'.") from None


def in_cluster_zone(line: str, zone: str, cluster_zone: str, moment: datetime) -> str:
    """Convert a line from one zone to the cluster's, by the difference between the two at `moment`.

    When one of the zones changes its clocks, the result changes too.

    Args:
        line: six fields.
        zone: time zone that the line is written in.
        cluster_zone: time zone of the cluster's scheduler.
        moment: a time with a zone.

    Raises:
        SettingsError: the line or a zone is wrong, or the line cannot be shifted across midnight or a full hour.
    """
    values = _parse(line)
    here, there = (
        moment.astimezone(zone_named(zone)).utcoffset(),
        moment.astimezone(zone_named(cluster_zone)).utcoffset(),
    )
    assert here is not None
    assert there is not None
    hours, minutes = divmod(round((there - here).total_seconds() / 60), 60)
    if (hours, minutes) == (0, 0):
        return line
    fields = line.split()
    moved, carry = _moved(values[1], minutes, 60)
    if carry is None:
        raise _immovable(line, zone, cluster_zone)
    if minutes:
        fields[1] = _text(moved)
    moved, carry = _moved(values[2], hours + carry, 24)
    fields[2] = fields[2] if _all(values[2], _FIELDS[2]) else _text(moved)
    if all(_all(value, field) for value, field in zip(values[3:], _FIELDS[3:], strict=True)):
        return " ".join(fields)
    if carry is None or (carry and not all(_all(values[i], _FIELDS[i]) for i in (3, 4))):
        raise _immovable(line, zone, cluster_zone)
    if carry:
        fields[5] = ",".join(_DAYS[day] for day in _moved(values[5], carry, 7)[0])
    return " ".join(fields)


def _offset(zone: str, moment: datetime) -> int:
    """Return the minutes by which the clocks of a zone are ahead of UTC."""
    offset = moment.astimezone(zone_named(zone)).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() / 60)


def _parse(line: str) -> list[set[int]]:
    fields = line.split()
    if len(fields) != len(_FIELDS):
        hint = f"write '0 {line.strip()}'" if len(fields) == 5 else "write for example '0 0 3 * * SUN'"
        raise SettingsError(
            f"The cron line '{line}' has {len(fields)} fields and Kubeflow wants six, "
            f"second minute hour day month weekday: {hint}."
        )
    return [_values(text, field, line) for text, field in zip(fields, _FIELDS, strict=True)]


def _values(text: str, field: _Field, line: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        low = high = None
        if match and match["low"] in ("*", "?"):
            low, high = (field.low, field.high) if not match["high"] else (None, None)
        elif match:
            low = _number(match["low"], field)
            high = _number(match["high"], field) if match["high"] else field.high if match["step"] else low
        step = int(match["step"]) if match and match["step"] else 1
        if low is None or high is None or low > high or step < 1:
            names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
            raise SettingsError(
                f"The cron line '{line}' has '{part}' as its {field.name}: give numbers from {field.low} to "
                f"{field.high}{names}."
            )
        found.update(range(low, high + 1, step))
    return found


def _number(text: str, field: _Field) -> int | None:
    if text.upper() in field.names:
        return field.names.index(text.upper()) + field.low
    return int(text) if text.isdecimal() and field.low <= int(text) <= field.high else None


def _all(values: set[int], field: _Field) -> bool:
    return len(values) == field.high - field.low + 1


def _moved(values: set[int], by: int, size: int) -> tuple[set[int], int | None]:
    """Shift values on a circle; return them with the number of turns, or with None if the values differ in turns."""
    turns = {(value + by) // size for value in values}
    return {(value + by) % size for value in values}, turns.pop() if len(turns) == 1 else None


def _text(values: set[int]) -> str:
    return ",".join(map(str, sorted(values)))


def _immovable(line: str, zone: str, cluster_zone: str) -> SettingsError:
    return SettingsError(
        f"The cron line '{line}' in {zone} is no single line in {cluster_zone}, in which the cluster's scheduler runs: "
        f"write it in zone {cluster_zone}."
    )
