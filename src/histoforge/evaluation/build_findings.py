"""Build the findings of an evaluation: study, synthetic patches, data, and their origin."""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from histoforge import __version__
from histoforge.core.text import dimensions, duration, join_words
from histoforge.evaluation.arm_inputs import ArmInput, TestPatches
from histoforge.evaluation.findings import Findings, InputDigests, SyntheticFindings
from histoforge.evaluation.inputs import TestUnits, count_tested, training_patches
from histoforge.evaluation.pictures import GeneratorRecord, generator_record, network_records, slide_pictures
from histoforge.evaluation.shown_patches import sample_patches
from histoforge.evaluation.study_findings import StudyFindings
from histoforge.evaluation.synthetic_sets import SyntheticSets
from histoforge.evaluation.unified import unified_network
from histoforge.patches import PatchSet
from histoforge.training.model_files import read_model_info


@dataclass(frozen=True)
class EvaluationInputs:
    """The opened inputs of an evaluation, and what was computed from them.

    Attributes:
        real: the real patches, opened for the first fold that is tested.
        test: the tested patches.
        synthetic, generator: those that are shown in detail: of the first fold and generator.
    """

    real: PatchSet
    test: TestPatches
    units: TestUnits
    arms: Sequence[ArmInput]
    study: StudyFindings
    synthetic: SyntheticSets | None
    comparison: SyntheticFindings
    generator: Path | None
    overviews: Path | None
    warnings: Sequence[str]
    caveats: Sequence[str]


def build_findings(
    inputs: EvaluationInputs,
    *,
    heading: str,
    shown_patches: int,
    shown_slides: int,
    settings: Mapping[str, Any],
    seed: int,
    computed_on: str,
    seconds: float,
) -> Findings:
    """Return all findings.

    Args:
        heading: title of the report; '' for a question about the classes.
        shown_patches: number of patches shown per class and group.
        shown_slides: maximum number of slides shown.
        settings: the evaluation's settings, as JSON values.
        seed: seed of the patches that are shown.
        computed_on: device and precision of the evaluation.
        seconds: time that the evaluation took.
    """
    record = generator_record(inputs.generator) if inputs.generator else GeneratorRecord()
    real, study = inputs.real, inputs.study
    size = f"{dimensions(real.patch_size)} px{f' at {real.info.mpp:.3g} um/px' if real.info.mpp else ''}"
    digests = _digests(inputs)
    counts, units = count_tested(real, inputs.test, inputs.units)
    return Findings(
        title=heading or f"{_question(study)} {join_words(real.classes)} apart?",
        subtitle=f"histoforge evaluation, {time.strftime('%Y-%m-%d')}: patches of {size}",
        classes=real.classes,
        counts=counts,
        units=units,
        study=study,
        warnings=[*inputs.warnings, *record.notes],
        caveats=list(inputs.caveats),
        pool=inputs.comparison.pool,
        generative=inputs.comparison.generative,
        projection=inputs.comparison.projection,
        audit=inputs.comparison.audit,
        pairs=inputs.comparison.pairs,
        checks=inputs.comparison.checks,
        realism=inputs.comparison.realism,
        copies=inputs.comparison.copies,
        samples=sample_patches(training_patches(real), inputs.synthetic, shown_patches, seed),
        curves=record.curves,
        chosen_epochs=record.chosen_epochs,
        pictures=record.pictures,
        networks={arm.name: records for arm in inputs.arms if (records := network_records(arm.parts[0]))},
        slides=slide_pictures(inputs.overviews, shown_slides) if inputs.overviews else [],
        settings=_settings(inputs, record, settings),
        digests=digests,
        provenance=[
            *_input_rows(inputs, digests),
            ("This evaluation", duration(seconds)),
            ("histoforge", ", ".join(_code_versions(inputs.arms))),
            ("Python, PyTorch", f"{platform.python_version()}, {torch.__version__}"),
            ("Device", computed_on),
            ("Seed of this evaluation", str(seed)),
        ],
    )


def _digests(inputs: EvaluationInputs) -> InputDigests:
    synthetic = inputs.synthetic
    return InputDigests(
        patches=inputs.real.digest,
        candidates=synthetic.patches.digest if synthetic is not None and synthetic.is_pool else "",
        selected=synthetic.patches.digest if synthetic is not None and not synthetic.is_pool else "",
        generator=read_model_info(inputs.generator, "generator").digest if inputs.generator is not None else "",
        source=str(inputs.real.info.made_by.get("source_digest") or ""),
    )


def _settings(inputs: EvaluationInputs, record: GeneratorRecord, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    made_by = inputs.real.info.made_by
    documents: list[tuple[str, Any]] = [("Preprocess", {k: v for k, v in made_by.items() if k != "summary"})]
    if inputs.generator is not None:
        documents.append(("Generator", read_model_info(inputs.generator, "generator").model_dump(mode="json")))
        if record.choice:
            documents.append(("How the generator's epoch was chosen", record.choice))
    if inputs.synthetic is not None:
        documents.append(("Selection", inputs.synthetic.patches.info.made_by))
    for arm, findings in zip(inputs.arms, inputs.study.arms, strict=True):
        document = {k: v for k, v in arm.document.items() if k not in ("runs", "class_weights")}
        documents.append((f"Arm {findings.title}", document))
    documents.append(("This evaluation", settings))
    return [(title, json.dumps(document, indent=1, ensure_ascii=False)) for title, document in documents]


def _input_rows(inputs: EvaluationInputs, digests: InputDigests) -> list[tuple[str, str]]:
    """Return the digests of the inputs and the times of their training, for display."""
    rows = [("Real patches", digests.patches), ("Source", digests.source), ("Generator", digests.generator)]
    if inputs.generator is not None:
        training = read_model_info(inputs.generator, "generator").training
        rows.append(("Training of the generator", duration(training.get("seconds", 0))))
    rows += [("Candidates", digests.candidates), ("Selected patches", digests.selected)]
    arms = inputs.study.arms
    rows += [(f"Classifiers {arm.title}", ", ".join(digest[:12] for digest in arm.training.models)) for arm in arms]
    rows.append(("Training of all classifiers", duration(sum(sum(arm.training.seconds) for arm in arms))))
    return [(name, value) for name, value in rows if value]


def _code_versions(arms: Sequence[ArmInput]) -> list[str]:
    recorded = {str(part.document.get("code_version", "")) for arm in arms for part in arm.parts}
    return sorted(filter(None, recorded | {__version__}))


def _question(study: StudyFindings) -> str:
    if unified_network(study.arms):
        return "Is one network better than two stages at telling"
    if any(arm.synthetic for arm in study.arms):
        return "Do synthetic patches help to tell"
    return "Which way of training is best at telling" if len(study.arms) > 1 else "How well can it tell"
