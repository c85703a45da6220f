"""Open the scores of many generators, check them against each other, and group them by name over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from histoforge.core.digests import digest_file
from histoforge.core.documents import known_shape
from histoforge.core.errors import ModelError, SettingsError
from histoforge.evaluation.findings import PictureFile
from histoforge.evaluation.generator_scores import FEATURES_NAME, GeneratorScores, read_scores
from histoforge.evaluation.leaderboard_findings import Downstream, LeaderboardEntry, MethodsMap
from histoforge.evaluation.pictures import Curves, history_curves
from histoforge.generators.history_file import FILE_NAME as HISTORY
from histoforge.generators.history_file import read_history
from histoforge.metrics.table import METRICS
from histoforge.metrics.tsne import embed
from histoforge.patches import PatchSet

ADVICE = "score the generator again"


@dataclass(frozen=True)
class Scored:
    """A folder of scores and the contents of its `scores.json`."""

    path: Path
    scores: GeneratorScores


def open_scores(paths: Sequence[Path], real: PatchSet) -> tuple[list[Scored], list[str]]:
    """Return all scores, and warnings that concern them together.

    Raises:
        SettingsError: if there are none, or two share a name and seed.
        ModelError: if some are damaged, or were made with another patch set or another extractor.
    """
    if not paths:
        raise SettingsError("leaderboard has nothing to compare: give at least one folder that score_generator made.")
    scored = [Scored(Path(path), read_scores(Path(path))) for path in paths]
    names: set[tuple[str, int]] = set()
    for run in scored:
        scores = run.scores
        if scores.digests.patches != real.digest:
            raise ModelError(
                f"The scores {run.path} were made with another patch set, so their numbers are not comparable: "
                "score that generator again."
            )
        if scores.digests.extractor != scored[0].scores.digests.extractor or scores.judge != scored[0].scores.judge:
            raise ModelError(
                f"The scores {run.path} were made with the extractor {scores.judge}, and {scored[0].path} with "
                f"{scored[0].scores.judge}: score both generators with one extractor."
            )
        if (scores.name, scores.seed) in names:
            raise SettingsError(
                f"Two generators are called '{scores.name}' with the seed {scores.seed}: score one of them again under "
                "another name."
            )
        names.add((scores.name, scores.seed))
    return scored, _warnings([run.scores for run in scored])


def build_entries(
    scored: Sequence[Scored], downstream: Mapping[str, Mapping[str, Downstream]]
) -> list[LeaderboardEntry]:
    """Return the generators by name in ascending order of mean FID.

    Args:
        downstream: downstream scores of each name, by use.
    """
    entries = []
    for name in dict.fromkeys(each.scores.name for each in scored):
        runs = sorted((each for each in scored if each.scores.name == name), key=lambda run: run.scores.seed)
        entries.append(
            LeaderboardEntry(
                name,
                [run.scores for run in runs],
                downstream.get(name, {}),
                {run.scores.seed: read_curves(run.path) for run in runs},
                _picture(runs[0]),
            )
        )
    fids = {entry.name: entry.over_seeds(lambda scores: scores.judge_metrics.fid).mean for entry in entries}
    return sorted(entries, key=lambda entry: (fids[entry.name] is None, fids[entry.name] or 0.0))


def mean_distances(entries: Sequence[LeaderboardEntry], metric: str) -> dict[str, dict[str, float]]:
    """Return the mean of a distance, a key of `METRICS`, for each generator, by extractor and name."""
    extractors = dict.fromkeys(row.extractor for entry in entries for run in entry.scores for row in run.generative)
    means = {
        name: {entry.name: entry.spread_by(METRICS[metric], name).mean for entry in entries} for name in extractors
    }
    return {name: {key: mean for key, mean in by.items() if mean is not None} for name, by in means.items()}


def read_curves(folder: Path) -> Curves:
    """Return the series of the history in a folder of scores."""
    history = read_history(folder, ADVICE)
    with known_shape(folder / HISTORY, ModelError, ADVICE):
        return history_curves(history)


def methods_map(scored: Sequence[Scored], names: Sequence[str], count: int, seed: int) -> MethodsMap | None:
    """Map real patches and those of each method's lowest seed (PCA to 50, then t-SNE); None without features.

    As in `evaluate`, this uses one thread, because t-SNE waits at a barrier a thousand times.

    Args:
        names: names of the methods, in the order of the map.
        count: maximum number of patches of each method, and of real ones.
        seed: seed of the map.
    """
    groups: dict[str, Any] = {}
    for run in sorted(scored, key=lambda run: run.scores.seed):
        file = run.path / FEATURES_NAME
        if run.scores.name not in groups and file.is_file():
            if run.scores.features not in ("", digest_file(file)):
                raise ModelError(f"{file} is not the one that was written with the scores beside it: {ADVICE}.")
            with np.load(file, allow_pickle=False) as arrays:
                groups.setdefault("", arrays["real"])
                groups[run.scores.name] = arrays["fake"]
    if len(groups) < 2 or sum(map(len, groups.values())) < 5:
        return None
    with threadpool_limits(1):
        embedded = embed(groups, count, seed)
    points = {name: group.points.astype(np.float32) for name, group in embedded.items()}
    methods = {name: points[name] for name in names if name in points}
    return MethodsMap(points[""], methods, scored[0].scores.judge)


def _picture(run: Scored) -> PictureFile | None:
    path = run.path / "pictures" / "grid.png"
    if not path.is_file():
        return None
    name, classes = run.scores.name, ", ".join(run.scores.classes)
    text = f"{name}, seed {run.scores.seed}: one row per class ({classes}), drawn at random."
    return PictureFile(path, f"Synthetic patches of {name}", text)


def _warnings(scores: Sequence[GeneratorScores]) -> list[str]:
    warnings = list(dict.fromkeys(text for run in scores for text in run.warnings))
    if len({(run.judge_metrics.n_real, run.judge_metrics.n_fake) for run in scores}) > 1:
        warnings.append("The generators were scored with different numbers of patches: do not compare their FIDs.")
    if len({run.paths.distance for run in scores if run.paths}) > 1:
        warnings.append("Path lengths use different perceptual distances: do not compare them.")
    if len({(run.paths.steps, run.paths.interpolation, run.paths.epsilon) for run in scores if run.paths}) > 1:
        warnings.append("Path lengths were measured with different steps: do not compare them.")
    drawings = [run.drawing for run in scores if run.drawing.seconds_per_thousand is not None]
    if len({(drawing.device, drawing.batch_size, drawing.precision) for drawing in drawings}) > 1:
        warnings.append(
            "Patches were drawn on different devices, at different precisions or in different batch sizes: do not "
            "compare seconds."
        )
    trained = [run for run in scores if not run.origin]
    seeds = {name: sorted(run.seed for run in trained if run.name == name) for name in {run.name for run in trained}}
    if len({tuple(of_name) for of_name in seeds.values()}) > 1:
        warnings.append("The methods have different seeds; rewards are compared at the seeds that both have.")
    notes = dict.fromkeys(run.judge_metrics.note for run in scores if run.judge_metrics.note)
    return [*warnings, *notes]
