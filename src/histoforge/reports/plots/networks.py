"""The figure of both weighings of the class losses (Li et al., Fig. 3)."""

from collections.abc import Mapping, Sequence

import numpy as np

from histoforge.evaluation.findings import NetworkRecord
from histoforge.generators.unified_networks import UNIFIED
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import draw, line_style

WEIGHINGS = {UNIFIED: "exp", "vitgan_log": "log (Kendall et al.)"}


def weighing_figure(networks: Mapping[str, Sequence[NetworkRecord]]) -> Figure | None:
    """Plot Fig. 3 of Li et al.: the fake loss by epoch with both weighings, one line per seed; None without both."""
    compared = {name: networks[name] for name in WEIGHINGS if networks.get(name)}
    if len(compared) < len(WEIGHINGS):
        return None
    with draw("Epoch", "Fake loss") as drawing:
        for index, (name, records) in enumerate(compared.items()):
            for number, record in enumerate(records):
                epochs, values = record.curves.get("source_fake", ([], []))
                label = WEIGHINGS[name] if number == 0 else "_"
                marker = "o" if len(epochs) == 1 else ""
                drawing.axes.plot(epochs, values, label=label, marker=marker, **line_style(index))
        drawing.legend()
    ends = {WEIGHINGS[name]: _end(records) for name, records in compared.items()}
    reached = " and ".join(f"{value:.3g} with {name}" for name, value in ends.items())
    return Figure(
        alt=f"Mean output of the source head for synthetic patches by epoch; at the end {reached}.",
        caption="Fig. 3: the fake loss, the mean output of the source head for synthetic patches, by epoch; one line "
        f"per seed. At the end, mean over seeds: {reached}. The paper calls a loss that settles fast an advantage of "
        "exp.",
        svg=drawing.svg,
    )


def _end(records: Sequence[NetworkRecord]) -> float:
    ends = [values[-1] for record in records if (values := record.curves.get("source_fake", ([], []))[1])]
    return float(np.mean(ends)) if ends else float("nan")
