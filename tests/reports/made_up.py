"""Studies and findings of random predictions, computed by the package's own statistics."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from histoforge.evaluation.arm_inputs import ArmInput, ArmPart
from histoforge.evaluation.findings import (
    Findings,
    GenerativeRow,
    InputDigests,
    Pair,
    PoolFindings,
    Projection,
    SamplePatch,
)
from histoforge.evaluation.study import ArmPredictions, build_study
from histoforge.evaluation.study_findings import StudyFindings
from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.generative import generative_metrics
from histoforge.metrics.memorisation import audit_memorisation
from histoforge.patches import PatchSet
from histoforge.patches.description import PatchSetInfo

CLASSES = ["normal", "tumour"]


def make_study(
    skills: dict[str, float],
    patients: int = 12,
    seeds: int = 5,
    classes: Sequence[str] = CLASSES,
    score: str = "accuracy",
    patches: int = 40,
    names: Sequence[str] | None = None,
    labels: Sequence[int] | None = None,
    reference: str = "",
    factors: Mapping[str, Mapping[str, float | str]] | None = None,
) -> StudyFindings:
    """Return a study of arms that predict better the higher their skill; all arms of a seed share the same noise.

    The classes take turns, or follow `labels`, which are repeated.
    """
    rng = np.random.default_rng(7)
    patient_names = list(names) if names is not None else [f"p{i:02d}" for i in range(patients)]
    index = pd.DataFrame(
        {
            "label": np.resize(np.arange(len(classes)) if labels is None else labels, patients * patches),
            "patient": np.repeat(patient_names, patches),
        }
    )
    info = PatchSetInfo.model_construct(classes=list(classes), made_by={})
    test = PatchSet(info, index, reader=None, rows=np.arange(len(index)))
    truth = np.eye(len(classes))[test.labels]
    noise = [rng.normal(size=truth.shape) for _ in range(seeds)]
    predictions = []
    for arm_index, (name, skill) in enumerate(skills.items()):
        seed_skills = [skill + 0.02 * np.sin(arm_index + seed) for seed in range(seeds)]
        logits = [s * truth + n for s, n in zip(seed_skills, noise, strict=True)]
        probabilities = [np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in logits]
        document = {**_arm(name, seeds, classes), "factors": dict((factors or {}).get(name, {}))}
        predictions.append(ArmPredictions(ArmInput((ArmPart(Path(name), document),)), probabilities))
    return build_study(
        predictions,
        test,
        index["patient"].to_numpy(),
        "patients",
        reference=reference or next(iter(skills)),
        score=score,
        confidence=0.95,
        resamples=400,
        seed=0,
    )


def make_findings(study: StudyFindings, classes: Sequence[str] = CLASSES) -> Findings:
    """Return findings with content for every section of the page that needs no file."""
    rng = np.random.default_rng(3)
    features = {name: rng.normal(size=(60, 8)).astype(np.float32) for name in ("train", "test", "fake")}
    labels = np.arange(60) % len(classes)
    patch = rng.integers(0, 255, (16, 24, 3)).astype(np.uint8)
    epochs = [1.0, 2.0, 3.0]
    return Findings(
        title="Do synthetic patches help?",
        subtitle="made up",
        classes=list(classes),
        counts={split: dict.fromkeys(classes, 30) for split in ("train", "val", "test")},
        units={split: {"": 4, **dict.fromkeys(classes, 2)} for split in ("train", "val", "test")},
        study=study,
        warnings=["A warning."],
        pool=PoolFindings(
            labels, labels == 0, {"entropy": rng.random(60), "distance": rng.random(60)}, "rule", ("entropy",)
        ),
        generative=[
            GenerativeRow(
                subset, "training patches", generative_metrics(features["train"], features["fake"], extractor)
            )
            for extractor in ("net a", "net b")
            for subset in ("unselected", "selected", "rejected")
        ],
        projection=Projection(
            rng.normal(size=(60, 2)), labels, np.array(["real", "kept", "rejected"])[np.arange(60) % 3], "net a"
        ),
        audit=audit_memorisation(EuclideanSpace(features["fake"], features["train"], features["test"], "net b")),
        pairs=[Pair(classes[0], patch, patch, patch, 0.5, 0.7)],
        samples={
            name: {g: [SamplePatch(patch, "0.1")] * 3 for g in ("real", "selected", "rejected")} for name in classes
        },
        curves={
            "fid": (epochs, [9.0, 7.0, 8.0]),
            "fid_smoothed": (epochs, [9.0, 8.0, 8.0]),
            "penalty": (epochs, [1.0, 0.5, 0.4]),
        },
        chosen_epochs={"": 2},
        settings=[("Preprocess", '{"a": 1}')],
        digests=InputDigests("ab" * 32),
        provenance=[("Real patches", "ab" * 32)],
    )


def _arm(name: str, seeds: int, classes: Sequence[str]) -> dict[str, object]:
    history = [{"val_loss": 1 / (1 + e), "val_accuracy": 0.5, "val_balanced_accuracy": 0.4 + 0.1 * e} for e in range(4)]
    run = {"epochs": 4, "best_epoch": 3, "steps": 20, "seconds": 1.5, "digest": "cd" * 32, "history": history}
    counts, digests = {"train": dict.fromkeys(classes, 30)}, {"patches": "ab" * 32}
    if name.startswith(("gan", "selective", "single")):
        counts["synthetic"] = dict.fromkeys(classes, 15)
        digests["synthetic"] = "ef" * 32
    if name.startswith("control"):
        counts["control"] = dict.fromkeys(classes, int(name.removeprefix("control_")))
    return {
        "arm": name,
        "seeds": list(range(seeds)),
        "counts": counts,
        "digests": digests,
        "runs": [{**run, "seed": s} for s in range(seeds)],
    }
