"""The factors of an arm in a study: its kind, and the ratio, pool or fraction that sets it apart."""

import re
from collections.abc import Mapping
from typing import Any

from histoforge.generators.unified_networks import NETWORKS

Factors = dict[str, float | str]
"""The factors that set an arm apart in a study.

'kind', and either 'ratio' and 'pool' (multiples of the training patches), 'fraction' (of them), or 'dose'; or
'backbone', with 'ratio' if synthetic patches were added, or with 'kind' if synthetic images of that kind were; or
'network', for a network that draws and classifies patches.
"""

_CELL = re.compile(r"(?P<kind>\w+?)_r(?P<ratio>\d+(?:_\d+)?)_pool(?P<pool>\d+(?:_\d+)?)n")
_FRACTION = re.compile(r"(?P<kind>\w+?)_(?P<percent>\d+(?:_\d+)?)pct")


def arm_factors(arm: Mapping[str, Any]) -> Factors:
    """Return the factors of an arm, given the content of its `arm.json`; empty outside a study of factors."""
    return dict(arm.get("factors") or _factors_of_name(str(arm["arm"])))


def arm_title(name: str, factors: Mapping[str, float | str]) -> str:
    """Return an arm's name for display: 'single filter', 'gan at 10%', 'selective r=0.5 of 4N', 'resnet34 + 0.5 N'."""
    if "network" in factors:
        network = NETWORKS.get(str(factors["network"]))
        return network.title if network else name.replace("_", " ")
    if "backbone" in factors:
        added = f"{factors['ratio']:g} N" if "ratio" in factors else factors.get("kind")
        return f"{factors['backbone']} + {added}" if added else str(factors["backbone"])
    kind = str(factors.get("kind", name)).replace("_", " ")
    if "fraction" in factors:
        return f"{kind} at {float(factors['fraction']) * 100:.3g}%"
    if "dose" in factors:
        return f"{kind} x {factors['dose']:g}"
    return f"{kind} r={factors['ratio']:g} of {factors['pool']:g}N" if "ratio" in factors else kind


def _factors_of_name(name: str) -> Factors:
    """Parse the name of an arm of an earlier version, which recorded no factors.

    'selective_r0_5_pool4n' has a ratio of 0.5 and 4 N candidates, 'selective_10pct' a fraction of 0.1.
    """
    if match := _CELL.fullmatch(name):
        return {"kind": match["kind"], "ratio": _number(match["ratio"]), "pool": _number(match["pool"])}
    if match := _FRACTION.fullmatch(name):
        return {"kind": match["kind"], "fraction": _number(match["percent"]) / 100}
    return {}


def _number(text: str) -> float:
    """Parse a number in an arm's name, which has no full stops: '0_5' is 0.5."""
    return float(text.replace("_", "."))
