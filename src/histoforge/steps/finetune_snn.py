"""The step `finetune_snn`, which fine-tunes the siamese guide on overviews and then on patches, and evaluates it."""

import copy
from functools import partial
from pathlib import Path

import torch

from histoforge.classifiers.weights import read_weights
from histoforge.core.progress import say
from histoforge.core.results import work_beside
from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.siamese.cost import inference_cost
from histoforge.siamese.evaluation import report_pairs, score_pairs
from histoforge.siamese.finetuning import Finetuning, Schedule, TrainedNetwork
from histoforge.siamese.guide import METHOD, NORMALISATION, Guide
from histoforge.siamese.guide_report import EvaluatedNetwork, GuideReport
from histoforge.siamese.network import MftSnn
from histoforge.siamese.pairs import Augmentation
from histoforge.siamese.training import Hyperparameters
from histoforge.siamese.training_data import PairSources, TrainingData, open_training_data
from histoforge.steps.finetune_snn_config import FinetuneSnnConfig, FinetuneSnnSummary
from histoforge.steps.step_engine import step_engine
from histoforge.training.device import resolve_device, resolve_precision
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo, save_model

NOT_IDENTITY = {"ablations", "checked_pairs", "checkpoint_every", "checkpoints", "cost_batch", "device", "shown"}
"""Parameters that do not change the result of a training, so that a retry may change them."""

LEVEL_NAMES = ("similar", "same_slide", "other_patient")


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
        HistoforgeError: there are no overviews, no dissimilar slides, no held-out pairs, the weights do not fit, or
            a loss is not finite.
    """
    data = open_training_data(
        patches, overviews, stage1=config.stage1, max_patches=config.max_patches, seed=config.seed
    )
    network, weights_digest = _initial_network(config)
    info = _model_info(config, data, weights_digest)
    augmentation = Augmentation(config.brightness, config.contrast, config.noise)
    device = resolve_device(config.device)
    dtype = resolve_precision(config.precision, device)
    sources = PairSources.load(data, device, augmentation)
    finetuning = Finetuning(
        network,
        sources.overviews,
        sources.train,
        _schedule(config),
        _hyperparameters(config),
        partial(_engine, config, info, Path(guide)),
    )
    after_stage1, trained = finetuning.two_stages()
    ablations = finetuning.ablations(after_stage1) if config.ablations else {}

    def guide_of(network: TrainedNetwork) -> Guide:
        return Guide(info, copy.deepcopy(network.network), device, dtype)

    def evaluate(network: TrainedNetwork) -> EvaluatedNetwork:
        """Evaluate a network; every network gets the same pairs, and training pairs set the threshold."""
        embed, count, seed = guide_of(network).embed, config.checked_pairs, config.seed
        train, val = (score_pairs(embed, source, count, seed) for source in (sources.train, sources.val))
        return EvaluatedNetwork(network, report_pairs(train, val, seed))

    result = guide_of(trained)
    evaluated = evaluate(trained)
    report = GuideReport(
        weights=(config.weights or "random", weights_digest),
        warnings=[*_warnings(config, data), *evaluated.notes],
        result=evaluated,
        ablations={name: evaluate(ablation) for name, ablation in ablations.items()},
        cost=inference_cost(result, config.cost_batch),
    )
    summary = _summary(data, report, result)
    saved = _save(config, Path(guide), data, result, report, summary)
    for engine in finetuning.engines:
        engine.finish()
    say(f"finetune_snn: {summary.finding}")
    return summary.model_copy(update={"digest": saved.digest})


def _initial_network(config: FinetuneSnnConfig) -> tuple[MftSnn, str]:
    """Return the network that every training starts from, and the SHA-256 of its weights' file or ''."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "snn", "weights"))
        network = MftSnn(config.width)
    if not config.weights:
        return network, ""
    weights, digest = read_weights(config.weights, config.weights_sha256)
    network.load_encoder(weights, config.weights)
    return network, digest


def _model_info(config: FinetuneSnnConfig, data: TrainingData, weights_digest: str) -> ModelInfo:
    overviews = data.overviews.digest if data.overviews is not None else ""
    digests = {"patches": data.train.digest, "overviews": overviews, "weights": weights_digest}
    return ModelInfo(
        kind="guide",
        method=METHOD,
        config={
            **config.model_dump(exclude=NOT_IDENTITY),
            "normalisation": NORMALISATION,
            "stain": data.train.stain,
        },
        classes=data.train.classes,
        patch_size=data.train.patch_size,
        mpp=data.train.info.mpp,
        digests={name: digest for name, digest in digests.items() if digest},
    )


def _schedule(config: FinetuneSnnConfig) -> Schedule:
    return Schedule(
        stage1_layers=config.stage1_layers,
        stage2_layers=config.stage2_layers,
        stage1_epochs=config.stage1_epochs,
        stage2_epochs=config.stage2_epochs,
        stage1_epoch_steps=config.stage1_epoch_steps,
        stage2_epoch_steps=config.stage2_epoch_steps,
    )


def _hyperparameters(config: FinetuneSnnConfig) -> Hyperparameters:
    return Hyperparameters(config.batch_size, config.reconstruction_rate, config.similarity_rate, config.margin)


def _engine(config: FinetuneSnnConfig, info: ModelInfo, guide: Path, stage: str) -> Engine:
    work = work_beside(guide, "-training") / stage
    return step_engine("finetune_snn", config, info, work, label=f"guide {stage}")


def _warnings(config: FinetuneSnnConfig, data: TrainingData) -> list[str]:
    warnings = []
    if not config.stage1:
        warnings.append("Stage 1 was left out (stage1=false): the guide was trained on patches only")
    if not config.weights:
        warnings.append("The encoder began with random weights, not with those of ImageNet as in the paper")
    shared, patients = data.shared_patients
    if shared:
        warnings.append(
            f"{shared} of {patients} validation patients also have training patches (the set was not split by "
            "patient): the results on pairs are too optimistic"
        )
    return warnings


def _summary(data: TrainingData, report: GuideReport, guide: Guide) -> FinetuneSnnSummary:
    pairs, trained, cost = report.result.pairs, report.result.trained, report.cost
    return FinetuneSnnSummary(
        stages=[stage.name for stage in trained.stages],
        weights=report.weights[0],
        overviews=0 if data.overviews is None else len(data.overviews),
        patches=len(data.train),
        pair_accuracy=pairs.accuracy.value or 0.0,
        pair_auc=pairs.auc.value or 0.0,
        similarity={LEVEL_NAMES[level.level]: level.mean for level in pairs.levels},
        finding=pairs.finding,
        ablations={name: network.pairs.accuracy.value or 0.0 for name, network in report.ablations.items()},
        images_per_second=cost.images_per_second,
        macs_per_image=cost.macs_per_image,
        steps=sum(stage.steps for stage in trained.stages),
        precision=str(guide.dtype).removeprefix("torch."),
        device=guide.device.type,
        seconds=round(sum(row["seconds"] for losses in trained.losses for row in losses.rows), 2),
        digest="",
        warnings=report.warnings,
    )


def _save(
    config: FinetuneSnnConfig,
    path: Path,
    data: TrainingData,
    guide: Guide,
    report: GuideReport,
    summary: FinetuneSnnSummary,
) -> ModelInfo:
    """Write the model directory, with the report and the pictures."""
    info = guide.info.model_copy(update={"training": summary.model_dump(exclude={"digest"})})
    count = min(config.shown, len(data.val))
    rows = numpy_rng(config.seed, "snn pictures").choice(len(data.val), count, replace=False)
    images = data.val.images(rows)
    return save_model(path, info, guide.network.state_dict(), lambda folder: report.write(folder, guide, images))
