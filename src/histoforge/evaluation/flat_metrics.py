"""The numbers of an evaluation under flat names, for Kubeflow's metrics."""

import math
import re

from histoforge.evaluation.findings import Findings
from histoforge.evaluation.generator_scores import GeneratorScores
from histoforge.evaluation.image_scores import ImageScores
from histoforge.evaluation.large_images import LargeImageFindings
from histoforge.evaluation.level_scores import means_by_level
from histoforge.evaluation.study_findings import StudyFindings
from histoforge.metrics.table import feature_metrics


def flat_metrics(findings: Findings) -> dict[str, float]:
    """Return finite numbers with names such as 'selective_accuracy' or 'fid_selected_training'.

    Those of the external test begin with 'external_'.

    Generative metrics are those of the last classifier among the extractors, which chose nothing if there is such a
    one, and never those of Inception, of an encoder or of extractors without training.
    """
    flat = _study_metrics(findings.study)
    if findings.external is not None:
        flat |= {f"external_{name}": value for name, value in _study_metrics(findings.external.study).items()}
    in_domain = findings.audit.extractor if findings.audit is not None else ""
    for row in findings.generative:
        if row.metrics.extractor == in_domain:
            sets = f"{row.subset}_{row.against}".replace(" patches", "").replace(" ", "_").replace("-", "_")
            flat |= {f"{metric.name}_{sets}": row.metrics.value(metric.name) for metric in feature_metrics()}
    if findings.audit is not None:
        flat["memorisation_c_t"] = findings.audit.c_t
        flat["memorisation_copies"] = float(len(findings.audit.duplicates or []))
    if findings.realism is not None and findings.realism.two_sample is not None:
        flat["told_from_real_auc"] = findings.realism.two_sample.auc
    if findings.large_images is not None:
        flat |= _image_metrics(findings.large_images)
    return {name: float(value) for name, value in flat.items() if value is not None and math.isfinite(value)}


def _image_metrics(large: LargeImageFindings) -> dict[str, float | None]:
    """Return the mean metrics of generators and of sets of large images, such as 'pathup_entropy_overview_fid'."""
    flat: dict[str, float | None] = {}
    scored: list[GeneratorScores | ImageScores] = [*large.generators, *large.images]
    for scores in scored:
        name = re.sub(r"\W+", "_", scores.name)
        for level, metrics in means_by_level(scores.levels, scores.judge).items():
            flat |= {f"{name}_{level}_{metric}": values["mean"] for metric, values in metrics.items()}
        if isinstance(scores, ImageScores):
            flat[f"{name}_seams"] = scores.seams.mean
    return flat


def _study_metrics(study: StudyFindings) -> dict[str, float | None]:
    flat: dict[str, float | None] = {}
    for arm in study.arms:
        flat |= {f"{arm.name}_{name}": score.mean for name, score in arm.scores.items()}
        flat[f"{arm.name}_macro_f1"] = arm.macro_f1.mean if arm.macro_f1 else None
        difference = study.difference(arm.name, study.score)
        if difference is not None and difference.overall is not None:
            effect = difference.overall
            flat |= {
                f"{arm.name}_gain": effect.difference,
                f"{arm.name}_gain_low": effect.low,
                f"{arm.name}_gain_high": effect.high,
            }
    return flat
