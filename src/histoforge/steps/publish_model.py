"""Publish a classifier: the challenger becomes champion if it passes the gate."""

import tempfile
import time
from pathlib import Path

from histoforge import __version__
from histoforge.core.errors import SettingsError
from histoforge.core.files import atomic_directory, write_json
from histoforge.core.progress import say
from histoforge.core.text import dimensions
from histoforge.evaluation.challenger import Challenger, Results, check_comparable, open_challenger, open_results
from histoforge.evaluation.challenger_comparison import ChallengerComparison, seen_units, unit_counts
from histoforge.models import ModelCard, ModelStore, Publication, PublishResult, Verdict
from histoforge.models.card import CARD_NAME, README_NAME
from histoforge.models.gate import judge_audit
from histoforge.models.versions import pack, version_of
from histoforge.patches import PatchSet
from histoforge.steps.publish_model_config import PublishModelConfig, PublishModelSummary
from histoforge.storage import open_location

DECISION_NAME = "decision.json"


def run(
    config: PublishModelConfig, *, patches: Path, challenger: Path, results: Path | None = None, publication: Path
) -> PublishModelSummary:
    """Publish the challenger, or keep the champion and say why. Both are results.

    Args:
        config: the settings.
        patches: patch set that the challenger was trained on; champion and challenger are compared on its test
            split, and nothing is tuned on it.
        challenger: arm directory or classifier.
        results: the evaluation's metrics.json; needed for the audit if the challenger was trained on synthetic patches.
        publication: directory to write: decision.json, model_card.json, README.md.

    Raises:
        HistoforgeError: if the inputs do not belong together, or the location refuses access.
    """
    started = time.monotonic()
    if not config.models:
        raise SettingsError("publish_model: 'models' is empty: give a folder, or s3:// or minio:// prefix.")
    registry = ModelStore(open_location(config.models), config.name)
    standing = registry.champion()
    real = PatchSet.open(patches)
    model = open_challenger(challenger, real)
    found = open_results(results, model, real)
    if standing is not None:
        check_comparable(registry.card(standing.version), model)
    trial = ChallengerComparison(config, real, model)
    card = describe(config, real, model, found, trial)
    audit = judge_audit(model.synthetic, found.audit)

    with tempfile.TemporaryDirectory() as folder:
        packed = pack(model.path, card, Path(folder) / "version")
        own = version_of(packed)

        def judge(version: str, champion: Publication | None) -> Verdict:
            if not audit.accepted:
                return audit
            if champion is None:
                return _first(config, trial)
            return trial.compare(registry, own, version, champion.version)

        outcome = registry.publish(packed, card, judge)
    said = sentence(registry, outcome)
    say(f"publish_model: {said}")
    summary = _summary(config, registry, outcome, card, trial, said, time.monotonic() - started)
    _write(publication, summary, outcome, card)
    return summary


def describe(
    config: PublishModelConfig, patches: PatchSet, model: Challenger, results: Results, trial: ChallengerComparison
) -> ModelCard:
    """Return the challenger's model card."""
    facts, made_by = model.facts, patches.info.made_by
    source = {"source": str(made_by["source_digest"])} if made_by.get("source_digest") else {}
    return ModelCard(
        name=config.name,
        kind="classifier",
        form=model.form,
        arm=facts["arm"],
        method=facts["method"],
        seeds=facts["seeds"],
        classes=facts["classes"],
        patch_size=facts["patch_size"],
        mpp=facts["mpp"],
        model=model.digest,
        digests={**facts["digests"], **source},
        unit=trial.units.name,
        patches=patches.info.counts,
        units=unit_counts(patches, trial.units),
        synthetic=facts["counts"].get("synthetic", {}),
        presets=[config.trained_with] if config.trained_with else [],
        config=facts["config"],
        confidence=config.confidence,
        scores=trial.scores(),
        extractors=results.extractors,
        audit=str((results.audit or {}).get("verdict", "")),
        licences={"model": config.licence, "data": config.data_licence, "histoforge": "Apache-2.0"},
        intended_use=config.intended_use,
        limits=_limits(config, model, results, trial),
        seen=seen_units(patches, trial.units),
        code_version=facts["code_version"],
    )


def sentence(registry: ModelStore, outcome: PublishResult) -> str:
    """Return the outcome and its reason in one sentence."""
    champion, why = outcome.champion, outcome.verdict.reason
    if outcome.published and champion is not None:
        return f"published {registry.name} {champion.version} as champion because {why}."
    if champion is None:
        return f"published nothing as {registry.name} because {why}."
    return f"kept the champion {champion.version} of {registry.name} because {why}."


def _first(config: PublishModelConfig, trial: ChallengerComparison) -> Verdict:
    if trial.n_units < config.fewest_patients:
        need = f"and {config.fewest_patients} are needed"
        return Verdict(False, f"only {trial.n_units} {trial.units.name} are in the test split, {need}")
    return Verdict(True, f"it is the first of this name, tested on {trial.n_units} {trial.units.name}")


def _limits(config: PublishModelConfig, model: Challenger, results: Results, trial: ChallengerComparison) -> list[str]:
    size = dimensions(model.facts["patch_size"])
    mpp = model.facts["mpp"]
    scale = "of the resolution that it was trained at" if mpp is None else f"at {mpp:g} um/px"
    limits = [
        f"It knows {', '.join(model.facts['classes'])} alone, and calls everything one of these.",
        f"It takes patches of {size} px {scale}; others, and other scanners, stains or tissue, were not tested.",
        f"Its scores rest on {trial.n_units} {trial.units.name}; the test split also chose between published models.",
    ]
    return [*limits, *results.warnings, *([config.limits] if config.limits else [])]


def _summary(
    config: PublishModelConfig,
    registry: ModelStore,
    outcome: PublishResult,
    card: ModelCard,
    trial: ChallengerComparison,
    said: str,
    seconds: float,
) -> PublishModelSummary:
    score, evidence = card.scores[config.score], outcome.verdict.evidence
    return PublishModelSummary(
        published=outcome.published,
        said=said,
        name=config.name,
        location=str(registry),
        version=outcome.champion.version if outcome.champion else "",
        challenger=outcome.version,
        score=config.score,
        value=score.value,
        low=score.low,
        high=score.high,
        difference=evidence.get("difference"),
        difference_low=evidence.get("low"),
        difference_high=evidence.get("high"),
        margin=config.margin,
        test_patches=len(trial.test),
        test_units=trial.n_units,
        unit=trial.units.name,
        seconds=round(seconds, 2),
    )


def _write(publication: Path, summary: PublishModelSummary, outcome: PublishResult, card: ModelCard) -> None:
    decision = {
        **summary.model_dump(mode="json"),
        "evidence": outcome.verdict.evidence,
        "champion": outcome.champion.model_dump(mode="json") if outcome.champion else None,
        "code_version": __version__,
    }
    with atomic_directory(Path(publication)) as folder:
        write_json(folder / DECISION_NAME, decision)
        write_json(folder / CARD_NAME, card.model_dump(mode="json"))
        (folder / README_NAME).write_text(card.as_markdown(), encoding="utf-8")
