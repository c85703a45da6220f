"""Open the scores of many generators, check them against each other, and group them by name over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from histoforge.generators.history_file import FILE_NAME as HISTORY
from histoforge.generators.history_file import read_history
from histoforge.metrics.tsne import embed
from histoforge.patches import PatchSet
from histoforge.steps.leaderboard_config import LeaderboardConfig

ADVICE = "score the generator again"
NOT_CURVES = ("epoch", "step", "seconds")
Curves = dict[str, tuple[list[float], list[float]]]


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
    found = [Scored(Path(path), read_scores(Path(path))) for path in paths]
    seen: set[tuple[str, int]] = set()
    for one in found:
        scores = one.scores
        if scores.digests.patches != real.digest:
            raise ModelError(
                f"The scores {one.path} were made with another patch set: numbers of different patches do not compare, "
                "so score that generator again."
            )
        if scores.digests.extractor != found[0].scores.digests.extractor or scores.judge != found[0].scores.judge:
            raise ModelError(
                f"The scores {one.path} were made with the extractor {scores.judge}, and {found[0].path} with "
                f"{found[0].scores.judge}: score both generators with one extractor."
            )
        if (scores.name, scores.seed) in seen:
            raise SettingsError(
                f"Two generators are called '{scores.name}' with the seed {scores.seed}: score one of them again under "
                "another name."
            )
        seen.add((scores.name, scores.seed))
    return found, _warnings([one.scores for one in found])


def build_entries(
    scored: Sequence[Scored], downstream: Mapping[str, Mapping[str, Downstream]]
) -> list[LeaderboardEntry]:
    """Return the generators by name in ascending order of mean FID.

    Args:
        downstream: downstream scores of each name, by use.
    """
    names = dict.fromkeys(one.scores.name for one in scored)
    found = []
    for name in names:
        own = sorted((one for one in scored if one.scores.name == name), key=lambda one: one.scores.seed)
        found.append(
            LeaderboardEntry(
                name,
                [one.scores for one in own],
                downstream.get(name, {}),
                {one.scores.seed: curves(one.path) for one in own},
                _picture(own[0]),
            )
        )
    fids = {one.name: one.over_seeds(lambda scores: scores.judge_metrics.fid).mean for one in found}
    return sorted(found, key=lambda one: (fids[one.name] is None, fids[one.name] or 0.0))


def curves(folder: Path) -> Curves:
    """Return the series of a generator's history by name; series of a class-wise method are named 'class: series'."""
    history = read_history(folder, ADVICE)
    with known_shape(folder / HISTORY, ModelError, ADVICE):
        found = _series(history.get("epochs", []), "")
        by_class = history.get("by_class")
        for name, one in by_class.items() if isinstance(by_class, dict) else ():
            found.update(_series(one.get("epochs", []), f"{name}: "))
    return found


def methods_map(scored: Sequence[Scored], config: LeaderboardConfig) -> MethodsMap | None:
    """Map real patches and those of each method's lowest seed (PCA to 50, then t-SNE); None without features.

    As in `evaluate`, this uses one thread, because t-SNE waits at a barrier a thousand times.
    """
    groups: dict[str, Any] = {}
    for one in sorted(scored, key=lambda one: one.scores.seed):
        file = one.path / FEATURES_NAME
        if one.scores.name not in groups and file.is_file():
            if one.scores.features not in ("", digest_file(file)):
                raise ModelError(f"{file} is not the one that was written with the scores beside it: {ADVICE}.")
            with np.load(file, allow_pickle=False) as arrays:
                groups.setdefault("", arrays["real"])
                groups[one.scores.name] = arrays["fake"]
    if len(groups) < 2 or sum(map(len, groups.values())) < 5:
        return None
    with threadpool_limits(1):
        found = embed(groups, config.map_patches, config.seed)
    points = {name: part.points.astype(np.float32) for name, part in found.items()}
    return MethodsMap(points.pop(""), points, scored[0].scores.judge)


def with_order(found: MethodsMap | None, ordered: Sequence[LeaderboardEntry]) -> MethodsMap | None:
    """Return the map with its methods in the order of the leaderboard."""
    if found is None:
        return None
    return replace(found, entries={one.name: found.entries[one.name] for one in ordered if one.name in found.entries})


def _series(rows: Sequence[Mapping[str, Any]], prefix: str) -> Curves:
    found: Curves = {}
    for name in dict.fromkeys(name for row in rows for name in row if name not in NOT_CURVES):
        points = [(float(row["epoch"]), float(row[name])) for row in rows if row.get(name) is not None]
        if points:
            found[prefix + name] = ([x for x, _ in points], [y for _, y in points])
    return found


def _picture(one: Scored) -> PictureFile | None:
    path = one.path / "pictures" / "grid.png"
    if not path.is_file():
        return None
    text = (
        f"{one.scores.name}, seed {one.scores.seed}: a row a class ({', '.join(one.scores.classes)}), drawn at random."
    )
    return PictureFile(path, f"Synthetic patches of {one.scores.name}", text)


def _warnings(scores: Sequence[GeneratorScores]) -> list[str]:
    found = list(dict.fromkeys(text for one in scores for text in one.warnings))
    if len({(one.judge_metrics.n_real, one.judge_metrics.n_fake) for one in scores}) > 1:
        found.append("The generators were judged by different numbers of patches: their FIDs do not compare.")
    if len({one.paths.distance for one in scores if one.paths}) > 1:
        found.append("Path lengths rest on different perceptual distances: they do not compare.")
    if len({(one.paths.steps, one.paths.interpolation, one.paths.epsilon) for one in scores if one.paths}) > 1:
        found.append("Path lengths were measured with different steps: they do not compare.")
    if len({(one.drawing.device, one.drawing.batch_size, one.drawing.precision) for one in scores}) > 1:
        found.append("Patches were drawn on different devices, precisions or batch sizes: seconds do not compare.")
    seeds = {name: sorted(one.seed for one in scores if one.name == name) for name in {one.name for one in scores}}
    if len({tuple(one) for one in seeds.values()}) > 1:
        found.append("The methods have different seeds; rewards are compared at the seeds that both have.")
    notes = dict.fromkeys(one.judge_metrics.note for one in scores if one.judge_metrics.note)
    return [*found, *notes]
