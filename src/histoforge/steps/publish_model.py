"""Publish a classifier: the challenger becomes the champion if it passes the gate."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from histoforge import __version__
from histoforge.core.errors import SettingsError
from histoforge.core.files import atomic_directory, write_json
from histoforge.core.progress import say
from histoforge.core.text import dimensions
from histoforge.evaluation.challenger import Challenger, check_comparable, open_challenger, open_results
from histoforge.evaluation.challenger_comparison import ChallengerComparison, seen_units
from histoforge.evaluation.inputs import count_units
from histoforge.evaluation.leading_score import leading_score
from histoforge.evaluation.publishable_results import PublishableResults
from histoforge.models import ModelCard, ModelStore, Publication, PublishResult, Verdict
from histoforge.models.card import CARD_NAME, README_NAME
from histoforge.models.gate import check_audit
from histoforge.models.store import Gate
from histoforge.models.versions import pack, version_of
from histoforge.patches import PatchSet
from histoforge.steps.publish_model_config import PublishModelConfig, PublishModelSummary
from histoforge.storage import open_location
from histoforge.training.device import resolve_device, resolve_precision

DECISION_NAME = "decision.json"


def run(
    config: PublishModelConfig,
    *,
    patches: Path,
    challenger: Path | Sequence[Path],
    results: Path | None = None,
    publication: Path,
) -> PublishModelSummary:
    """Publish the challenger, or keep the champion and report the reason. Both are results.

    Args:
        config: the settings.
        patches: patch set that the challenger was trained on; champion and challenger are compared on its test
            split, and nothing is tuned on it.
        challenger: arm directory or classifier; of an arm of several folds and generators, the first is published if
            the patients that its fold tests let it pass.
        results: the evaluation's metrics.json; needed for the audit if the challenger was trained on synthetic patches.
        publication: directory to write: decision.json, model_card.json, README.md.

    Raises:
        HistoforgeError: if the inputs do not belong together, or the location refuses access.
    """
    started = time.monotonic()
    if not config.models:
        raise SettingsError("publish_model: 'models' is empty: give a folder, or s3:// or minio:// prefix.")
    store = ModelStore(open_location(config.models), config.name)
    champion = store.champion()
    real = PatchSet.open(patches)
    model = open_challenger(challenger, real)
    real = real.in_fold(model.fold)
    evaluation = open_results(results, model, real)
    if champion is not None:
        check_comparable(store.card(champion.version), model)
    device = resolve_device(config.device)
    comparison = ChallengerComparison(
        real,
        model,
        device=device,
        dtype=resolve_precision(config.precision, device),
        batch_size=config.batch_size,
        seed=config.seed,
        confidence=config.confidence,
    )
    score, reason = leading_score(config.score, comparison.test.labels, real.classes)
    if reason:
        say(f"publish_model: {reason}")
    card = describe(config, real, model, evaluation, comparison)
    with tempfile.TemporaryDirectory() as folder:
        packed = pack(model.path, card, Path(folder) / "version")
        audit = check_audit(model.synthetic, evaluation.memorisation)
        result = store.publish(packed, card, _gate(config, score, store, audit, comparison, version_of(packed)))
    text = sentence(store, result)
    if model.parts > 1:
        say(f"publish_model: {_one_of_many(model)}")
    say(f"publish_model: {text}")
    summary = _summary(config, score, store, result, card, comparison, text, time.monotonic() - started)
    _write(publication, summary, result, card)
    return summary


def _gate(
    config: PublishModelConfig,
    score: str,
    store: ModelStore,
    audit: Verdict,
    comparison: ChallengerComparison,
    challenger: str,
) -> Gate:
    """Return the gate: audit, whether it learned, number of test patients, comparison with the champion."""

    def gate(version: str, champion: Publication | None) -> Verdict:
        if not audit.accepted:
            return audit
        learned = comparison.learned(score)
        if comparison.n_units >= config.fewest_patients and not learned.accepted:
            return learned
        if champion is None:
            return _first(config, comparison)
        return comparison.compare(
            store,
            challenger,
            version,
            champion.version,
            score=score,
            margin=config.margin,
            min_units=config.fewest_patients,
        )

    return gate


def describe(
    config: PublishModelConfig,
    patches: PatchSet,
    model: Challenger,
    results: PublishableResults,
    comparison: ChallengerComparison,
) -> ModelCard:
    """Return the challenger's model card."""
    description, made_by = model.description, patches.info.made_by
    source = {"source": str(made_by["source_digest"])} if made_by.get("source_digest") else {}
    return ModelCard(
        name=config.name,
        kind="classifier",
        form=model.form,
        arm=description["arm"],
        method=description["method"],
        seeds=description["seeds"],
        classes=description["classes"],
        patch_size=description["patch_size"],
        mpp=description["mpp"],
        model=model.digest,
        digests={**description["digests"], **source},
        unit=comparison.units.name,
        patches=patches.info.counts,
        units=count_units(patches, comparison.units),
        synthetic=description["counts"].get("synthetic", {}),
        presets=[config.trained_with] if config.trained_with else [],
        config=description["config"],
        confidence=config.confidence,
        scores=comparison.scores(),
        extractors=results.extractors,
        audit=results.memorisation.verdict if results.memorisation else "",
        licences={"model": config.licence, "data": config.data_licence, "histoforge": "Apache-2.0"},
        intended_use=config.intended_use,
        limits=_limits(config, model, results, comparison),
        seen=seen_units(patches, comparison.units),
        code_version=description["code_version"],
    )


def sentence(store: ModelStore, result: PublishResult) -> str:
    """Describe the result and its reason in one sentence."""
    champion, why = result.champion, result.verdict.reason
    if result.published and champion is not None:
        return f"published {store.name} {champion.version} as champion because {why}."
    if champion is None:
        return f"published nothing as {store.name} because {why}."
    return f"kept the champion {champion.version} of {store.name} because {why}."


def _first(config: PublishModelConfig, comparison: ChallengerComparison) -> Verdict:
    if comparison.n_units < config.fewest_patients:
        fold = comparison.challenger.fold
        where = "the test split" if fold < 0 else f"fold {fold}, which alone judges its classifiers"
        reason = f"only {comparison.n_units} {comparison.units.name} are in {where}"
        return Verdict(False, f"{reason}, and {config.fewest_patients} are needed")
    return Verdict(True, f"it is the first of this name, tested on {comparison.n_units} {comparison.units.name}")


def _limits(
    config: PublishModelConfig, model: Challenger, results: PublishableResults, comparison: ChallengerComparison
) -> list[str]:
    size = dimensions(model.description["patch_size"])
    mpp = model.description["mpp"]
    scale = "of the resolution that it was trained at" if mpp is None else f"at {mpp:g} um/px"
    limits = [
        f"It knows only {', '.join(model.description['classes'])}, and assigns every patch to one of these.",
        f"It takes patches of {size} px {scale}; others, and other scanners, stains or tissue, were not tested.",
        f"Its scores were measured on {comparison.n_units} {comparison.units.name}; the same test split was used to "
        "choose between published models.",
    ]
    if model.parts > 1:
        limits.append(_one_of_many(model))
    return [*limits, *results.cautions, *([config.limits] if config.limits else [])]


def _one_of_many(model: Challenger) -> str:
    """Say which of the trainings of an arm a model is, and what its scores speak of."""
    return (
        f"It is one of {model.parts} trainings of the arm '{model.description['arm']}', that of {model.place}: its "
        "scores and the comparison with the champion are of the patients that it was tested on, while the report of "
        "the evaluation speaks of all trainings."
    )


def _summary(
    config: PublishModelConfig,
    score_name: str,
    store: ModelStore,
    result: PublishResult,
    card: ModelCard,
    comparison: ChallengerComparison,
    text: str,
    seconds: float,
) -> PublishModelSummary:
    score, evidence = card.scores[score_name], result.verdict.evidence
    return PublishModelSummary(
        published=result.published,
        said=text,
        name=config.name,
        location=str(store),
        version=result.champion.version if result.champion else "",
        challenger=result.version,
        score=score_name,
        value=score.value,
        low=score.low,
        high=score.high,
        difference=evidence.get("difference"),
        difference_low=evidence.get("low"),
        difference_high=evidence.get("high"),
        margin=config.margin,
        test_patches=len(comparison.test),
        test_units=comparison.n_units,
        unit=comparison.units.name,
        seconds=round(seconds, 2),
    )


def _write(publication: Path, summary: PublishModelSummary, result: PublishResult, card: ModelCard) -> None:
    decision = {
        **summary.model_dump(mode="json"),
        "evidence": result.verdict.evidence,
        "champion": result.champion.model_dump(mode="json") if result.champion else None,
        "code_version": __version__,
    }
    with atomic_directory(publication) as folder:
        write_json(folder / DECISION_NAME, decision)
        write_json(folder / CARD_NAME, card.model_dump(mode="json"))
        (folder / README_NAME).write_text(card.as_markdown(), encoding="utf-8")
