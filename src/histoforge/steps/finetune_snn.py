"""The step `finetune_snn`, which fine-tunes the siamese guide on overviews and then on patches, and evaluates it."""

import copy
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from histoforge.classifiers.weights import read_weights
from histoforge.core.errors import PatchSetError
from histoforge.core.progress import say
from histoforge.core.results import work_beside
from histoforge.core.seals import write_sealed
from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.patches import PatchSet
from histoforge.siamese.cost import InferenceCost, inference_cost
from histoforge.siamese.evaluation import PairReport, report_pairs, score_pairs
from histoforge.siamese.finetuning import ABLATIONS, Finetuning, Schedule, Trained
from histoforge.siamese.gradcam import gradcam_pictures
from histoforge.siamese.guide import METHOD, NORMALISATION, Guide, stain_of
from histoforge.siamese.network import LEAST_SIZE_PX, MftSnn
from histoforge.siamese.pairs import Augmentation, PairSource, check_patients
from histoforge.siamese.training import Recipe
from histoforge.steps.finetune_snn_config import FinetuneSnnConfig, FinetuneSnnSummary
from histoforge.training.device import resolve_device
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo, save_model

NOT_IDENTITY = {"ablations", "checked_pairs", "checkpoint_every", "checkpoints", "cost_batch", "device", "shown"}
"""Parameters that do not change the result of a training, so that a retry may change them."""

REPORT_NAME, REPORT_SCHEMA = "guide.json", 1
PICTURE_NAME = "pictures/gradcam.png"
LEVEL_NAMES = ("similar", "same_slide", "other_patient")
PATCHES_ALONE = "set stage1=false to train on patches alone"


@dataclass
class _Data:
    """The training and evaluation data."""

    overviews: PatchSet | None
    train: PatchSet
    val: PatchSet
    warnings: list[str]


def run(config: FinetuneSnnConfig, *, patches: Path, overviews: Path | None = None, guide: Path) -> FinetuneSnnSummary:
    """Fine-tune the MFT-SNN.

    Args:
        config: the settings.
        patches: patch set; its training split is used for training, its val split for evaluation; its
            test split is not read.
        overviews: patch set of shrunken slides; needed unless `config.stage1` is off.
        guide: the model directory to write, with `guide.json` and `pictures/` beside the weights. Logs and checkpoints
            of the stages are in `<guide>-training`, from which a killed training resumes.

    Raises:
        HistoforgeError: if there are no overviews, no dissimilar slides, no held-out pairs, the weights do not fit, or
            a loss is not finite.
    """
    data, guide = _open(config, patches, overviews), Path(guide)
    start, weights_digest = _start(config)
    info = _info(config, data, weights_digest)
    sources = _Sources.load(config, data)
    engine_of = partial(_engine, config, info, guide)
    finetuning = Finetuning(
        start, sources.overviews, sources.train, _part(Schedule, config), _part(Recipe, config), engine_of
    )
    after_first, trained = finetuning.two_stages()
    judge = _Judge(config, info, sources)
    others = finetuning.ablations(after_first) if config.ablations else {}
    result = _Result(
        trained,
        judge.guide(trained),
        judge.report(trained),
        {name: (one, judge.report(one)) for name, one in others.items()},
    )
    cost = inference_cost(result.guide, config.cost_batch)
    summary = _summary(config, data, result, cost)
    saved = _save(config, guide, result, data, summary, cost)
    for engine in finetuning.engines:
        engine.finish()
    say(f"finetune_snn: {result.report.finding}")
    return summary.model_copy(update={"digest": saved.digest})


@dataclass
class _Sources:
    """The images for training and evaluation."""

    overviews: PairSource | None
    train: PairSource
    val: PairSource

    @classmethod
    def load(cls, config: FinetuneSnnConfig, data: _Data) -> "_Sources":
        """Move them to the device."""
        device = resolve_device(config.device)
        strengths = Augmentation(config.brightness, config.contrast, config.noise)
        overviews = None
        if data.overviews is not None:
            overviews = PairSource(data.overviews, device, strengths, same_slide=False, augment_first=True)
        return cls(overviews, PairSource(data.train, device, strengths), PairSource(data.val, device, strengths))


@dataclass
class _Result:
    """The result of the training.

    Attributes:
        trained: the network after its last stage.
        guide: the same as a guide.
        report: its evaluation on pairs.
        ablations: alternatively trained networks, with their reports.
    """

    trained: Trained
    guide: Guide
    report: PairReport
    ablations: dict[str, tuple[Trained, PairReport]]


class _Judge:
    """Evaluate networks on the same pairs: training pairs set the threshold, pairs of the val split are judged."""

    def __init__(self, config: FinetuneSnnConfig, info: ModelInfo, sources: _Sources) -> None:
        self._config, self._info, self._sources = config, info, sources

    def guide(self, trained: Trained) -> Guide:
        """Return the network as a guide, leaving the trained network untouched."""
        device = self._sources.train.patches.device
        return Guide(self._info, copy.deepcopy(trained.network), device, self._config.precision)

    def report(self, trained: Trained) -> PairReport:
        """Return its evaluation on pairs."""
        embed, seed, count = self.guide(trained).embed, self._config.seed, self._config.checked_pairs
        train = score_pairs(embed, self._sources.train, count, seed)
        return report_pairs(train, score_pairs(embed, self._sources.val, count, seed), seed)


def _open(config: FinetuneSnnConfig, patches: Path, overviews: Path | None) -> _Data:
    """Open the training and evaluation data, and check that pairs can be made from it."""
    whole = PatchSet.open(patches)
    if min(whole.patch_size) < LEAST_SIZE_PX:
        raise PatchSetError(
            f"{patches} has patches of {min(whole.patch_size)} px, and VGG-16 halves them four times: preprocess "
            f"with a patch_size of at least {LEAST_SIZE_PX}."
        )
    train, val = whole.split("train"), whole.split("val")
    check_patients(train, "The 'train' split", "give the patch set more patients")
    if config.max_patches and config.max_patches < len(train):
        chosen = numpy_rng(config.seed, "snn patches").choice(len(train), config.max_patches, replace=False)
        chosen.sort()
        train = train.where(chosen)
        check_patients(train, "What max_patches keeps of the 'train' split", "raise max_patches")
    first = _open_overviews(overviews) if config.stage1 else None
    return _Data(first, train, val, _warnings(config, train, val))


def _open_overviews(overviews: Path | None) -> PatchSet:
    if overviews is None:
        raise PatchSetError(
            f"finetune_snn trains its first stage on overviews, and none were given: name them, or {PATCHES_ALONE}."
        )
    whole = PatchSet.open(overviews)
    if not (whole.index["split"] == "train").any():
        raise PatchSetError(f"There are no training overviews in {overviews} for the first stage: {PATCHES_ALONE}.")
    train = whole.split("train")
    check_patients(train, f"The 'train' split of {overviews}", PATCHES_ALONE)
    return train


def _warnings(config: FinetuneSnnConfig, train: PatchSet, val: PatchSet) -> list[str]:
    found = []
    if not config.stage1:
        found.append("Stage 1 was left out (stage1=false): the guide has seen patches alone")
    if not config.weights:
        found.append("The encoder began with random weights, not with those of ImageNet as in the paper")
    patients, seen = set(val.index["patient"]), set(train.index["patient"])
    if patients & seen:
        found.append(
            f"{len(patients & seen)} of {len(patients)} validation patients also have training patches (the set was "
            "not split by patient): the pair results flatter"
        )
    return found


def _start(config: FinetuneSnnConfig) -> tuple[MftSnn, str]:
    """Return the initial network of every plan, and the SHA-256 of its weights' file or ''."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "snn", "weights"))
        network = MftSnn(config.width)
    if not config.weights:
        return network, ""
    weights, digest = read_weights(config.weights, config.weights_sha256)
    network.load_encoder(weights, config.weights)
    return network, digest


def _info(config: FinetuneSnnConfig, data: _Data, weights_digest: str) -> ModelInfo:
    overviews = data.overviews.digest if data.overviews is not None else ""
    digests = {"patches": data.train.digest, "overviews": overviews, "weights": weights_digest}
    return ModelInfo(
        kind="guide",
        method=METHOD,
        config={
            **config.model_dump(exclude=NOT_IDENTITY),
            "normalisation": NORMALISATION,
            "stain": stain_of(data.train),
        },
        classes=data.train.classes,
        patch_size=data.train.patch_size,
        mpp=data.train.info.mpp,
        digests={name: digest for name, digest in digests.items() if digest},
    )


def _engine(config: FinetuneSnnConfig, info: ModelInfo, guide: Path, stage: str) -> Engine:
    return Engine(
        work_beside(guide, "-training") / stage,
        identity={"step": "finetune_snn", "stage": stage, **info.model_dump(mode="json")},
        device=config.device,
        precision=config.precision,
        seed=config.seed,
        checkpoints=config.checkpoints,
        checkpoint_every=config.checkpoint_every,
        label=f"guide {stage}",
    )


def _part(kind: Any, config: FinetuneSnnConfig) -> Any:
    """Return the settings that a dataclass takes."""
    return kind(**config.model_dump(include={one.name for one in fields(kind)}))


def _summary(config: FinetuneSnnConfig, data: _Data, result: _Result, cost: InferenceCost) -> FinetuneSnnSummary:
    report, trained = result.report, result.trained
    few = [f"Intervals: {report.accuracy.note}"] if report.accuracy.note else []
    return FinetuneSnnSummary(
        stages=[stage.name for stage in trained.stages],
        weights=config.weights or "random",
        overviews=0 if data.overviews is None else len(data.overviews),
        patches=len(data.train),
        pair_accuracy=report.accuracy.value or 0.0,
        pair_auc=report.auc.value or 0.0,
        similarity={LEVEL_NAMES[one.level]: one.mean for one in report.levels},
        finding=report.finding,
        ablations={name: report.accuracy.value or 0.0 for name, (_, report) in result.ablations.items()},
        images_per_second=cost.images_per_second,
        macs_per_image=cost.macs_per_image,
        steps=sum(stage.steps for stage in trained.stages),
        precision=str(result.guide.dtype).removeprefix("torch."),
        device=result.guide.device.type,
        seconds=round(sum(row["seconds"] for losses in trained.losses for row in losses.rows), 2),
        digest="",
        warnings=data.warnings + few,
    )


def _save(
    config: FinetuneSnnConfig,
    path: Path,
    result: _Result,
    data: _Data,
    summary: FinetuneSnnSummary,
    cost: InferenceCost,
) -> ModelInfo:
    """Write the model directory, with the report and the pictures."""
    guide = result.guide
    info = guide.info.model_copy(update={"training": summary.model_dump(exclude={"digest"})})
    said = {
        "weights": {"source": summary.weights, "sha256": info.digests.get("weights", "")},
        "warnings": summary.warnings,
        "stages": _stages(result.trained),
        "pairs": result.report.model_dump(mode="json"),
        "ablations": {
            name: {"about": ABLATIONS[name], "stages": _stages(one), "pairs": report.model_dump(mode="json")}
            for name, (one, report) in result.ablations.items()
        },
        "inference": cost.model_dump(mode="json"),
        "pictures": [PICTURE_NAME],
    }
    count = min(config.shown, len(data.val))
    rows = numpy_rng(config.seed, "snn pictures").choice(len(data.val), count, replace=False)

    def add_files(folder: Path) -> None:
        write_sealed(folder / REPORT_NAME, said, REPORT_SCHEMA)
        gradcam_pictures(guide, data.val.images(rows), folder / PICTURE_NAME)

    return save_model(path, info, guide.network.state_dict(), add_files)


def _stages(trained: Trained) -> list[dict[str, Any]]:
    """Return the stages of a network, each with its losses by epoch."""
    return [
        {**asdict(stage), "steps": stage.steps, "losses": losses.rows}
        for stage, losses in zip(trained.stages, trained.losses, strict=True)
    ]
