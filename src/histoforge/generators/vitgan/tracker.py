"""The end of each epoch of the unified ViT cGAN's training: both criteria, and the shares that passed the filter."""

from histoforge.classifiers.data import class_weights
from histoforge.classifiers.network import Classifier
from histoforge.classifiers.training import evaluate
from histoforge.generators.epoch_tracker import EpochTracker
from histoforge.generators.model_selection import FID, PIXEL_FID, CheckpointScorer, distrust_note
from histoforge.generators.networks import evaluating
from histoforge.generators.results import TrainingResult
from histoforge.generators.vitgan.config import VitganConfig
from histoforge.generators.vitgan.epoch_choice import TwoCriteria
from histoforge.generators.vitgan.trained import TrainedVitgan
from histoforge.patches.device import DevicePatches
from histoforge.patches.patchset import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.processes import from_main


class UnifiedTracker(EpochTracker):
    """Follow the generator and the classifier of one training, and restore the weights of the chosen epoch in both.

    Args:
        config, engine, scorer, trained: as for `EpochTracker`.
        classifier: the class head's network.
        train: the training patches.
        validation: the validation patches.
    """

    selection: TwoCriteria

    def __init__(
        self,
        config: VitganConfig,
        engine: Engine,
        scorer: CheckpointScorer | None,
        trained: TrainedVitgan,
        classifier: Classifier,
        train: PatchSet,
        validation: PatchSet,
    ) -> None:
        super().__init__(config, engine, scorer, trained)
        self.selection = TwoCriteria(config.accuracy_tolerance)
        self._selects = config.selection
        self.classifier, self.classes = classifier, train.classes
        self._validation = DevicePatches.load(validation, engine.device)
        self._weights = class_weights(train.counts).to(engine.device)

    def warnings(self) -> list[str]:
        """Return a sentence for each class of which no synthetic patch passed the filter in the whole training.

        Without selection, the classifier learns from all synthetic patches, and there is nothing to warn of.
        """
        if not self._selects:
            return []
        return [
            f"No synthetic patch of the class '{name}' passed the confidence filter in the whole training, so the "
            "classifier learnt this class from real patches alone: lower confidence, or train longer."
            for label, name in enumerate(self.classes)
            if not any(row.get(f"passed_{label}") for row in self.history.rows)
            and any(row.get(f"passed_{label}") is not None for row in self.history.rows)
        ]

    def _epoch_values(self) -> dict[str, float | None]:
        with evaluating(self.classifier):
            values = from_main(evaluate(self.classifier, self._validation, self._weights, self.engine))
        due = self._is_due()
        scores = from_main(self.scorer.score(self.trained)) if due and self.scorer is not None else {}
        fid = scores.get(PIXEL_FID if self.scorer is not None and self.scorer.distrust else FID)
        if due:
            states = {"generator": self.trained.network.state_dict(), "classifier": self.classifier.state_dict()}
            self.selection.add_epoch(self.engine.epoch, values["val_accuracy"], values["val_loss"], fid, states)
        return {FID: None, PIXEL_FID: None, **scores, **values, **self._shares()}

    def _shares(self) -> dict[str, float | None]:
        """Return, by class, the share of this epoch's synthetic patches that passed the filter."""
        means = self.history.means()
        drawn = {label: means.get(f"drawn_{label}", 0.0) for label in range(len(self.classes))}
        return {f"passed_{label}": means[f"kept_{label}"] / count if count else None for label, count in drawn.items()}

    def result(self, sizes: tuple[tuple[int, int], ...], parameters: dict[str, int]) -> TrainingResult:
        """Return the result of the training, with the chosen weights in both networks."""
        states = self.selection.kept[self.selection.best_epoch]["states"]
        self.classifier.load_state_dict(states["classifier"])
        self.selection.best_weights = states["generator"]
        result = super().result(sizes, parameters)
        result.chosen_by = f"lowest {self._second_criterion} near the best validation accuracy"
        result.choice_note = distrust_note(self.scorer.distrust) if self.scorer is not None else ""
        return result

    @property
    def _second_criterion(self) -> str:
        if self.scorer is None:
            return "validation loss"
        return "FID of pixel statistics" if self.scorer.distrust else "FID"
