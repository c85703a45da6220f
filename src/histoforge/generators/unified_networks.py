"""The networks that the pipeline `unified` trains: each draws patches and classifies them. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from histoforge.core.registry import Registry


@dataclass(frozen=True)
class UnifiedNetwork:
    """A network that draws patches and classifies them, as one arm of a study.

    Attributes:
        name: the arm's name.
        title: its name for display.
        method: the method that trains it.
        settings: parameters of the method that set it apart.
        against: the network with which it is compared; '' for the two-stage system.
    """

    name: str
    title: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    against: str = ""

    @property
    def overrides(self) -> dict[str, Any]:
        """Its settings as overrides of `train_generator`."""
        return {f"train_generator.{self.method}.{name}": value for name, value in self.settings.items()}


UNIFIED, BASE = "vitgan", "medvitgan"
NETWORKS: Registry[UnifiedNetwork] = Registry(
    "network",
    (
        UnifiedNetwork(UNIFIED, "unified network", "vitgan"),
        UnifiedNetwork(BASE, "MedViTGAN", "medvitgan"),
        UnifiedNetwork("vitgan_cp", "MedViTGAN + CP", "medvitgan", {"class_projection": True}, against=BASE),
        UnifiedNetwork("vitgan_sa", "MedViTGAN + SA", "vitgan", {"class_projection": False}, against=BASE),
        UnifiedNetwork("vitgan_log", "unified network, log weighing", "vitgan", {"weighing": "log"}, against=UNIFIED),
    ),
)
"""The unified network, its baseline, two networks between them (Table II; CP: class projection, SA: selection in the
loop), and the unified network with the weighing of Kendall et al. (Fig. 3).

Deviation A2-14: the paper's Table I has MedViTGAN with an accuracy of 0.939, and its Table II a baseline without class
projection and selection with 0.916. Both describe the same network here.
"""
