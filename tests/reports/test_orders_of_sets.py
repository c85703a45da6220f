"""Several sets of synthetic patches on the report: each distance in every space, and where the spaces disagree."""

import dataclasses

import numpy as np
import pytest
import torch
from made_up import make_findings, make_study

from histoforge.evaluation.drawn_sets import DrawnSet
from histoforge.evaluation.findings import GeneratorRow, SyntheticFindings
from histoforge.evaluation.generator_rows import distance_warnings, distances_of_sets, generator_rows
from histoforge.evaluation.patch_features import ComparisonSettings
from histoforge.evaluation.synthetic_sets import SyntheticSets
from histoforge.metrics.extract import NamedExtractor
from histoforge.metrics.generative import generative_metrics
from histoforge.metrics.untrained import UNTRAINED
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.reports.sections.generators import generators_section

CLASSES, SIDE = ["dark", "light"], 16
MEANS = NamedExtractor("means", lambda images: images.mean(dim=(2, 3)))
DEVIATIONS = NamedExtractor("deviations", lambda images: images.std(dim=(2, 3)))
SETTINGS = ComparisonSettings(
    metric_patches=100,
    copy_patches=100,
    map_patches=10,
    shown_pairs=1,
    neighbours=3,
    batch_size=64,
    seed=0,
    device=torch.device("cpu"),
)


def write(path, count, offset=0.0, deviation=40.0, synthetic=True, **columns):
    """Write patches of noise around two levels of grey, which an offset shifts and a deviation makes coarser."""
    rng = np.random.default_rng(len(path.name))
    with PatchSetWriter.create(path, CLASSES, (SIDE, SIDE), mpp=1.0, synthetic=synthetic) as writer:
        for split, n in columns.get("splits", {"": count}).items():
            labels = np.arange(n) % 2
            levels = np.array([80, 170])[labels] + offset + rng.normal(0, 10, n)
            noise = rng.normal(0, deviation, (n, SIDE, SIDE, 3))
            pixels = (levels[:, None, None, None] + noise).clip(0, 255).astype(np.uint8)
            real = {} if synthetic else {"split": split, "patient": split, "slide": split}
            writer.add(pixels, label=labels, **real)
        writer.finish({"step": "import_patches"})
    return PatchSet.open(path)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The rows of three sets: the first, whose distances are found elsewhere, one with other greys, and a noisy one."""
    folder = tmp_path_factory.mktemp("sets")
    real = write(folder / "real", 0, synthetic=False, splits={"train": 40, "test": 30})
    shifted, noisy = write(folder / "shifted", 50, offset=25.0), write(folder / "noisy", 60, deviation=60.0)
    named = {"first": shifted, "shifted": shifted, "noisy": noisy}
    drawn = [DrawnSet(name, -1, None, SyntheticSets.of_selection(patches)) for name, patches in named.items()]
    return generator_rows(drawn, SyntheticFindings(), real, {-1: [DEVIATIONS, MEANS]}, [], SETTINGS)


def test_given_sets_are_compared_in_every_space_at_equal_numbers(rows):
    assert [metrics.extractor for metrics in rows[1].generative] == ["means", "deviations", *UNTRAINED]
    assert {(metrics.n_real, metrics.n_fake) for row in rows[1:] for metrics in row.generative} == {(30, 30)}
    assert rows[1].fid == rows[1].generative[0].fid


def test_spaces_that_order_the_sets_otherwise_are_named(rows):
    fid = distances_of_sets(rows, "fid")
    assert fid["means"]["noisy"] < fid["means"]["shifted"]
    assert fid["deviations"]["shifted"] < fid["deviations"]["noisy"]
    warning = distance_warnings(rows)[0]
    assert warning.startswith(
        "The feature spaces disagree about the order: the lowest FID has noisy in the features of"
    )
    assert "shifted in the features of deviations" in warning


def test_the_report_shows_the_order_in_each_space(rows):
    findings = make_findings(make_study({"baseline": 1.0, "shifted": 1.1}))
    _, fid, kid, cmmd = generators_section(dataclasses.replace(findings, generators=rows[1:])).blocks
    assert [table.caption for table in (fid, kid, cmmd)] == [
        f"{name} in each space" for name in ("FID", "KID x 1000", "CMMD")
    ]
    assert fid.columns[1:3] == ["shifted", "noisy"]
    judge, deviations, *_ = fid.rows
    assert [cell.small for cell in judge] == ["the judge", "rank 2", "rank 1", ""]
    assert [cell.text for cell in deviations][-1] == "shifted before noisy"


def test_generators_of_the_project_have_no_such_tables(rows):
    findings = make_findings(make_study({"baseline": 1.0, "gan": 1.1}))
    unnamed = [dataclasses.replace(row, name="", generator_seed=seed) for seed, row in enumerate(rows)]
    assert len(generators_section(dataclasses.replace(findings, generators=unnamed)).blocks) == 1
    assert distance_warnings(unnamed) == []


def test_unequal_numbers_are_named():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(30, 4))
    rows = [
        GeneratorRow(0, None, name=f"set{n}", generative=[generative_metrics(real, rng.normal(size=(n, 4)), "net a")])
        for n in (20, 25)
    ]
    assert "different numbers of patches" in distance_warnings(rows)[-1]
