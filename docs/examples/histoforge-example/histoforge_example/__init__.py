"""What the package brings along. `histoforge --help` imports this module, so it imports nothing heavy."""

from histoforge.classifiers.backbones.registry import BackboneEntry
from histoforge.metrics.table import TWO_DECIMALS, Metric
from histoforge.selection.rules import Rule

UNCERTAIN = Rule("uncertain", "high entropy first", "histoforge_example.parts", scores=("entropy",))
MEAN_SHIFT = Metric(
    "mean_shift", "Mean shift", "lower", TWO_DECIMALS, "distance between the mean features",
    compute="histoforge_example.parts:mean_shift",
)  # fmt: skip
TINY_NET = BackboneEntry("tiny_net", "histoforge_example.parts", minimum_size=8)
