"""The comparison of arms on the test split, and the audit of synthetic patches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from histoforge.api.arms import Arm
from histoforge.api.patches import Patches, as_path
from histoforge.api.running import PRESET, Settings, run_step
from histoforge.core.documents import read_json
from histoforge.core.errors import SourceError
from histoforge.evaluation.patch_features import ComparisonSettings
from histoforge.evaluation.scoring import judge_of, open_classifiers
from histoforge.evaluation.synthetic import audit_features
from histoforge.metrics.extract import extract_features
from histoforge.metrics.memorisation import MemorisationAudit
from histoforge.metrics.registered_copies import MAX_COMPARED
from histoforge.patches import PatchSet
from histoforge.training.device import resolve_device

SHOWN_PAIRS, BATCH = 8, 256


@dataclass(frozen=True)
class Comparison:
    """Arms compared on the test split.

    Attributes:
        verdict: 'better', 'better_than_reference', 'worse', 'no_difference', 'not_learned', 'too_few' or
            'no_comparison'.
        answer: the first sentences of the report.
        report: the report, one HTML page.
        results: the content of `metrics.json`; docs/evaluate.md describes it.
    """

    verdict: str
    answer: list[str]
    report: Path
    results: dict[str, Any]

    @property
    def scores(self) -> pd.DataFrame:
        """The mean of each score over the seeds, one row per arm."""
        return pd.DataFrame(
            {
                name: {score: values["mean"] for score, values in arm["scores"].items()}
                for name, arm in self.results["arms"].items()
            }
        ).T

    @property
    def differences(self) -> pd.DataFrame:
        """The paired differences between arms with their intervals and p-values, one row per pair and score."""
        return pd.json_normalize(self.results["differences"])

    def __str__(self) -> str:
        return "\n".join(self.answer)


def compare_arms(
    patches: Patches | str | Path,
    arms: Sequence[Arm | str | Path],
    out: str | Path,
    *,
    synthetic: Patches | str | Path | None = None,
    settings: Settings | None = None,
    preset: str = PRESET,
    overwrite: bool = False,
) -> Comparison:
    """Compare arms on the test split, and render the report: the step `evaluate`.

    Args:
        patches: real patches, whose test split is read here and nowhere else.
        arms: two or more arms, the reference first.
        out: folder to write: `report.html` and `metrics.json`.
        synthetic: the synthetic patches, for their metrics and their audit in the report.
        settings: parameters of the step, such as {'resamples': 2000}.
        preset: name of a preset, or ''.
        overwrite: whether another report at `out` may be replaced.

    Raises:
        HistoforgeError: there is no test split, the inputs do not belong together, or `out` may not be written.
    """
    inputs = {
        "patches": as_path(patches),
        "arms": [arm.path if isinstance(arm, Arm) else Path(arm) for arm in arms],
        "selected": None if synthetic is None else [as_path(synthetic)],
    }
    summary = run_step("evaluate", out, inputs, given={}, settings=settings, preset=preset, overwrite=overwrite)
    results = read_json(Path(out) / "metrics.json")
    return Comparison(summary.verdict, summary.answer, Path(out) / "report.html", results)


def audit_copies(
    synthetic: Patches | str | Path, patches: Patches | str | Path, arm: Arm | str | Path, *, seed: int = 0
) -> MemorisationAudit:
    """Search synthetic patches for copies of training patches, and compare them with held-out (validation) patches.

    Args:
        synthetic: synthetic patches.
        patches: the real patches that their generator was trained on.
        arm: arm of real patches, in whose features distances are measured.
        seed: seed of the subsamples.

    Returns:
        The findings: `copied`, `verdict`, `nearer_verdict` and the numbers behind them.

    Raises:
        HistoforgeError: a patch set is damaged or has no training or validation split, they do not fit the arm, or
            there are fewer than two patches of a kind.
    """
    drawn, real = PatchSet.open(as_path(synthetic)), PatchSet.open(as_path(patches))
    device = resolve_device("auto")
    path = arm.path if isinstance(arm, Arm) else Path(arm)
    judge = judge_of(open_classifiers(path, real.classes, real.patch_size, device))
    judge.check_fits(drawn.classes, drawn.patch_size, f"the patch set {as_path(synthetic)}")
    train, held_out = real.split("train"), real.split("val")
    sets = (drawn, train, held_out)
    if min(map(len, sets)) < 2:
        raise SourceError("audit_copies: give at least two synthetic, two training and two validation patches.")
    synthetic_features, train_features, held_out_features = (
        extract_features(judge, patch_set, device, batch_size=BATCH) for patch_set in sets
    )
    settings = ComparisonSettings(
        metric_patches=len(drawn),
        copy_patches=MAX_COMPARED,
        map_patches=0,
        shown_pairs=SHOWN_PAIRS,
        neighbours=1,
        batch_size=BATCH,
        seed=seed,
        device=device,
    )
    return audit_features((synthetic_features, train_features, held_out_features), judge.name, sets, settings)
