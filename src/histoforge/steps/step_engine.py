"""The engine of a training that is a step."""

from pathlib import Path

from histoforge.core.settings import TrainingConfig
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo


def step_engine(
    step: str,
    config: TrainingConfig,
    info: ModelInfo,
    work: Path,
    *,
    label: str,
    trainings: int = 1,
    stream: str = "",
) -> Engine:
    """Return the engine of a training.

    Args:
        step: name of the step.
        config: its settings.
        info: description of the model to train; the checkpoint of another one is never resumed.
        work: directory of the log and the checkpoint.
        label, trainings, stream: see `Engine`.
    """
    return Engine(
        work,
        identity={"step": step, **info.model_dump(mode="json")},
        device=config.device,
        precision=config.precision,
        seed=config.seed,
        checkpoints=config.checkpoints,
        checkpoint_every=config.checkpoint_every,
        label=label,
        trainings=trainings,
        stream=stream,
    )
