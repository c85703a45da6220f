"""Gather the findings of an evaluation: study, synthetic patches, data, and their origin."""

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from histoforge import __version__
from histoforge.core.progress import say
from histoforge.core.text import dimensions, duration, join_words
from histoforge.evaluation import synthetic as judged
from histoforge.evaluation.findings import Findings, StudyFindings
from histoforge.evaluation.inputs import ArmInput, TestUnits
from histoforge.evaluation.pictures import GeneratorRecord, generator_record, slide_pictures
from histoforge.evaluation.synthetic import RealSets, SyntheticSets
from histoforge.metrics.extract import Extractor
from histoforge.patches import PatchSet
from histoforge.patches.patchset import SPLITS
from histoforge.reports.text.study_answer import arm_title
from histoforge.steps.evaluate_config import EvaluateConfig
from histoforge.training.model_files import read_model_info


@dataclass(frozen=True)
class EvaluationInputs:
    """The inputs from which findings are made."""

    real: PatchSet
    test: PatchSet
    units: TestUnits
    arms: Sequence[ArmInput]
    study: StudyFindings
    extractors: Sequence[Extractor]
    synthetic: SyntheticSets | None
    generator: Path | None
    overviews: Path | None
    warnings: Sequence[str]


def build_findings(config: EvaluateConfig, given: EvaluationInputs, device: torch.device, started: float) -> Findings:
    """Return all findings."""
    record = generator_record(given.generator) if given.generator else GeneratorRecord()
    train = given.real.split("train")
    classes = given.real.classes
    size = dimensions(given.real.patch_size)
    mpp = f" at {given.real.info.mpp:.3g} um/px" if given.real.info.mpp else ""
    return Findings(
        title=config.heading or f"{_question(given.study)} {join_words(classes)} apart?",
        subtitle=f"histoforge evaluation, {time.strftime('%Y-%m-%d')}: patches of {size} px{mpp}",
        classes=classes,
        counts=_counts(given.real),
        units=_units(given.real, given.units),
        study=given.study,
        warnings=list(given.warnings),
        samples=judged.samples(train, given.synthetic, config.shown_patches, config.seed),
        curves=record.curves,
        chosen_epochs=record.chosen_epochs,
        pictures=record.pictures,
        slides=slide_pictures(given.overviews, config.shown_slides) if given.overviews else [],
        settings=_settings(config, given, record),
        **_synthetic(config, given, train, device),
        provenance=_provenance(config, given, device, started),
    )


def _synthetic(
    config: EvaluateConfig, given: EvaluationInputs, train: PatchSet, device: torch.device
) -> dict[str, Any]:
    """Return the findings about synthetic patches; empty if there are none."""
    if given.synthetic is None:
        return {}
    sets = given.synthetic.sample(config.metric_patches, config.seed)
    real = RealSets(_sampled(train, config, "train"), _sampled(given.test, config, "held out"))
    seen = [judged.see(extractor, real, sets.patches, device, config.batch_size) for extractor in given.extractors]
    say(f"evaluate: {len(sets.patches)} synthetic patches seen by {len(seen)} extractors")
    classifiers = sum(isinstance(extractor, nn.Module) for extractor in given.extractors)  # the others use Inception
    audit, pairs = judged.audit(seen[max(1, classifiers) - 1], real, sets, config)
    return {
        "pool": judged.pool_findings(given.synthetic) if given.synthetic.whole and given.synthetic.scores else None,
        "generative": judged.generative_rows(seen, sets, config),
        "audit": audit,
        "pairs": pairs,
        "projection": judged.project(seen[0], real, sets, config),
    }


def _sampled(patches: PatchSet, config: EvaluateConfig, purpose: str) -> PatchSet:
    return patches.where(judged.draw_rows(len(patches), config.metric_patches, config.seed, purpose))


def _counts(real: PatchSet) -> dict[str, dict[str, int]]:
    return {split: dict(real.info.counts[split]) for split in SPLITS if split in real.info.counts}


def _units(real: PatchSet, units: TestUnits) -> dict[str, dict[str, int]]:
    """Count patients (slides, images) by split and class; '' stands for all classes together."""
    found: dict[str, dict[str, int]] = {}
    for split in _counts(real):
        part = real.split(split)
        names, labels = units.of(part), part.labels
        found[split] = {"": len(set(names))}
        for label, name in enumerate(real.classes):
            found[split][name] = len(set(names[labels == label]))
    return found


def _settings(config: EvaluateConfig, given: EvaluationInputs, record: GeneratorRecord) -> list[tuple[str, str]]:
    made_by = given.real.info.made_by
    parts: list[tuple[str, Any]] = [("Preprocess", {k: v for k, v in made_by.items() if k != "summary"})]
    if given.generator is not None:
        parts.append(("Generator", read_model_info(given.generator, "generator").model_dump(mode="json")))
        if record.facts:
            parts.append(("How the generator's epoch was chosen", record.facts))
    if given.synthetic is not None:
        parts.append(("Selection", given.synthetic.patches.info.made_by))
    for arm in given.arms:
        facts = {k: v for k, v in arm.facts.items() if k not in ("runs", "class_weights")}
        parts.append((f"Arm {arm_title(arm.name)}", facts))
    parts.append(("This evaluation", config.model_dump(mode="json")))
    return [(title, json.dumps(value, indent=1, ensure_ascii=False)) for title, value in parts]


def _provenance(
    config: EvaluateConfig, given: EvaluationInputs, device: torch.device, started: float
) -> list[tuple[str, str]]:
    real = given.real
    rows = [("Real patches", real.digest)]
    if source := real.info.made_by.get("source_digest"):
        rows.append(("Source", str(source)))
    if given.generator is not None:
        info = read_model_info(given.generator, "generator")
        rows += [("Generator", info.digest), ("Training of the generator", duration(info.training.get("seconds", 0)))]
    if given.synthetic is not None:
        rows.append(("Candidates" if given.synthetic.whole else "Selected patches", given.synthetic.patches.digest))
    for arm in given.study.arms:
        rows.append((f"Classifiers {arm_title(arm.name)}", ", ".join(digest[:12] for digest in arm.facts["models"])))
    spent = sum(sum(arm.facts["seconds"]) for arm in given.study.arms)
    written_by = sorted({str(arm.facts.get("code_version", "")) for arm in given.arms} | {__version__})
    return [
        *rows,
        ("Training of all classifiers", duration(spent)),
        ("This evaluation", duration(time.monotonic() - started)),
        ("histoforge", ", ".join(filter(None, written_by))),
        ("Python, PyTorch", f"{platform.python_version()}, {torch.__version__}"),
        ("Device", f"{device} at precision {config.precision}"),
        ("Seed of this evaluation", str(config.seed)),
    ]


def _question(study: StudyFindings) -> str:
    if any(arm.synthetic for arm in study.arms):
        return "Do synthetic patches help to tell"
    return "Which way of training is best at telling" if len(study.arms) > 1 else "How well can it tell"
