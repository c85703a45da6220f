"""The choice of the epoch by two criteria: validation accuracy, then FID (Li et al., section IV.B)."""

from typing import Any

from torch import Tensor

from histoforge.generators.model_selection import ModelSelection


class TwoCriteria(ModelSelection):
    """Among the epochs whose validation accuracy is close to the best one, the epoch with the lowest FID.

    A2-15: the paper names both criteria and no order. Without an extractor there is no FID, and the validation loss
    takes its place. Weights are kept of those epochs only that later ones may still leave as the choice: an epoch is
    dropped once it is too far below the best accuracy, or another one is at least as good by both criteria.

    Attributes:
        kept: by epoch, its accuracy, its second criterion and the weights of its networks by name.
    """

    def __init__(self, tolerance: float) -> None:
        super().__init__(alpha=0.0)
        self.tolerance = tolerance
        self.kept: dict[int, dict[str, Any]] = {}

    def add_epoch(
        self, epoch: int, accuracy: float, loss: float, fid: float | None, states: dict[str, dict[str, Tensor]]
    ) -> None:
        """Add an epoch.

        Args:
            epoch: its number.
            accuracy, loss: of the class head on the validation split.
            fid: None without an extractor.
            states: weights of its networks by name, which are copied.
        """
        if fid is not None:
            self.epochs.append(epoch)
            self.raw.append(fid)
            self.smoothed.append(fid)
        second = loss if fid is None else fid
        if any(other["accuracy"] >= accuracy and other["second"] <= second for other in self.kept.values()):
            return
        copies = {name: {key: value.detach().clone() for key, value in state.items()} for name, state in states.items()}
        self.kept[epoch] = {"accuracy": accuracy, "second": second, "states": copies}
        bar = max(other["accuracy"] for other in self.kept.values()) - self.tolerance - 1e-9
        self.kept = {
            number: other
            for number, other in self.kept.items()
            if other["accuracy"] >= bar
            and (number == epoch or not (accuracy >= other["accuracy"] and second <= other["second"]))
        }
        self.best_epoch = min(self.kept, key=lambda number: (self.kept[number]["second"], number))

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state."""
        return {name: value for name, value in super().state_dict().items() if name != "tolerance"}
