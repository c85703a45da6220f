"""The two stages of the MFT-SNN's fine-tuning, and the alternatives that the paper compares them with."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from histoforge.siamese.network import MftSnn
from histoforge.siamese.pairs import PairSource
from histoforge.siamese.training import Hyperparameters, Losses, Stage, fit
from histoforge.training.engine import Engine

ABLATIONS = {
    "initial": "the initial encoder, without any training",
    "overviews_only": "stage 1 only: one data set, overviews",
    "patches_only": "one stage on patches only, with as many steps as both stages",
    "single_stage": "one stage on overviews and patches together, with as many steps as both stages",
}


@dataclass(frozen=True)
class Schedule:
    """Length and depth of each stage; the fields are the parameters of the same names in `FinetuneSnnConfig`."""

    stage1_layers: int
    stage2_layers: int
    stage1_epochs: int
    stage2_epochs: int
    stage1_epoch_steps: int
    stage2_epoch_steps: int


@dataclass
class TrainedNetwork:
    """A network and the stages that trained it.

    Attributes:
        network: in evaluation mode.
        stages: in the order of training.
        losses: losses of each stage.
    """

    network: MftSnn
    stages: list[Stage] = field(default_factory=list)
    losses: list[Losses] = field(default_factory=list)


class Finetuning:
    """Train copies of one network by several plans, each stage with a separate engine.

    Attributes:
        engines: engines of the trained stages, to be finished once the model is written.
    """

    def __init__(
        self,
        network: MftSnn,
        overviews: PairSource | None,
        patches: PairSource,
        schedule: Schedule,
        params: Hyperparameters,
        make_engine: Callable[[str], Engine],
    ) -> None:
        """Prepare the stages.

        Args:
            network: the network that every plan starts from; it is not changed.
            overviews: pairs for stage 1, or None to train on patches only.
            patches: pairs for stage 2.
            schedule: length and depth of the stages.
            params: the hyperparameters of every stage.
            make_engine: makes the engine of a stage from the stage's name.
        """
        self._network, self._overviews, self._patches = network, overviews, patches
        self._hyperparameters, self._make_engine = params, make_engine
        self.engines: list[Engine] = []
        self._layers = schedule.stage1_layers
        second = schedule.stage2_epoch_steps or math.ceil(len(patches) / params.batch_size)
        self._stage2 = Stage("stage-2", schedule.stage2_layers, False, schedule.stage2_epochs, second)
        self._stage1: Stage | None = None
        if overviews is not None:
            first = schedule.stage1_epoch_steps or math.ceil(len(overviews) / params.batch_size)
            self._stage1 = Stage("stage-1", schedule.stage1_layers, True, schedule.stage1_epochs, first)

    def two_stages(self) -> tuple[TrainedNetwork, TrainedNetwork]:
        """Return the network after stage 1 and after stage 2 (section III.A.3).

        A0-3: the formula would freeze what stage 2 trains; here stage 2 continues to train the last of stage 1's
        layers. Without overviews there is a single stage on patches. It trains as many layers as stage 1 would have,
        and the decoder, which has not been trained before.
        """
        first = self._initial()
        if self._overviews is None or self._stage1 is None:
            self._train(first, self._alone("patches-alone", self._stage2.steps), [self._patches])
            return first, first
        self._train(first, self._stage1, [self._overviews])
        second = copy.deepcopy(first)
        self._train(second, self._stage2, [self._patches])
        return first, second

    def ablations(self, after_stage1: TrainedNetwork) -> dict[str, TrainedNetwork]:
        """Return the networks of `ABLATIONS`; without overviews, only the untrained one.

        Args:
            after_stage1: the network after stage 1.
        """
        networks = {"initial": self._initial()}
        if self._overviews is None or self._stage1 is None:
            return networks
        steps = self._stage1.steps + self._stage2.steps
        networks["overviews_only"] = after_stage1
        networks["patches_only"] = self._initial()
        self._train(networks["patches_only"], self._alone("patches-only", steps), [self._patches])
        networks["single_stage"] = self._initial()
        stage = self._alone("single-stage", steps, self._stage1.steps / steps)
        self._train(networks["single_stage"], stage, [self._patches, self._overviews])
        return networks

    def _alone(self, name: str, steps: int, second_share: float = 0.0) -> Stage:
        """Return a stage that no other stage precedes."""
        epochs = min(self._stage2.epochs, steps)
        return Stage(name, self._layers, True, epochs, math.ceil(steps / epochs), second_share)

    def _initial(self) -> TrainedNetwork:
        return TrainedNetwork(copy.deepcopy(self._network).eval())

    def _train(self, trained: TrainedNetwork, stage: Stage, sources: list[PairSource]) -> None:
        engine = self._make_engine(stage.name)
        network = trained.network.to(engine.device).to(memory_format=torch.channels_last)
        trained.losses.append(fit(network, stage, sources, self._hyperparameters, engine))
        trained.stages.append(stage)
        self.engines.append(engine)
