"""What the synthetic patches are: planted glass, noise, wrong classes and real patches, and what the page says."""

import numpy as np
import pytest

from histoforge.evaluation.findings import GenerativeRow
from histoforge.evaluation.realism import Judgement, Realism, Sides, measure_realism
from histoforge.evaluation.spaces import check_warnings, order_warnings, selection_warnings, swapped_pairs
from histoforge.metrics.corruptions import blurred, coloured_noise
from histoforge.metrics.extract import extract_features
from histoforge.metrics.extractor_check import ExtractorCheck
from histoforge.metrics.generative import generative_metrics
from histoforge.metrics.untrained import UNTRAINED, untrained_extractors
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.phantom import draw_patches
from histoforge.reports.sections.realism import realism_section
from histoforge.reports.text.realism import precision_text, realism_caveats, two_sample_text

CLASSES = ["benign", "tumour"]
DRAWN = draw_patches(90, (48, 48), mpp=1.0, patients=9)
PATIENTS = np.unique(DRAWN.patients)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Phantom patches of three training, three held-out, and three further patients."""
    path = tmp_path_factory.mktemp("real") / "patches"
    split = np.select(
        [np.isin(DRAWN.patients, PATIENTS[:3]), np.isin(DRAWN.patients, PATIENTS[3:6])], ["train", "test"], "val"
    )
    with PatchSetWriter.create(path, CLASSES, (48, 48), mpp=1.0) as writer:
        writer.add(DRAWN.images, label=DRAWN.labels, patient=DRAWN.patients, slide=DRAWN.patients, split=split)
        writer.finish({"step": "preprocess", "config": {"min_tissue": 0.4}})
    return PatchSet.open(path)


@pytest.fixture(scope="module")
def extractors(real):
    return untrained_extractors(real.split("train"))


def realism(real, extractors, images, labels, judgement=None) -> Realism:
    train, held_out = real.split("train"), real.split("test")
    sides = [Sides(*(extract_features(each, patches) for patches in (images, train, held_out))) for each in extractors]
    return measure_realism(
        "selected",
        images,
        labels,
        train,
        held_out,
        pixels=sides[0],
        spaces=Sides.join(sides),
        features=" and ".join(UNTRAINED),
        judgement=judgement,
        seed=0,
    )


def judged(real, labels, probability, selected=False):
    """Return a judgement that gives synthetic patches of a class this probability, and real ones 0.9."""
    held_out = real.split("test").labels
    synthetic = np.where(np.eye(2)[labels] == 1, probability, 1 - probability)
    return Judgement("resnet10, seed 1", selected, synthetic, np.where(np.eye(2)[held_out] == 1, 0.9, 0.1))


def test_pairs_in_another_order_are_listed_by_space():
    distances = {
        "judge": {"dcgan": 1.0, "ddpm": 2.0, "vqgan": 3.0},
        "same": {"dcgan": 10.0, "ddpm": 20.0, "vqgan": 30.0},
        "near": {"dcgan": 10.0, "ddpm": 9.5, "vqgan": 30.0},
        "other": {"dcgan": 10.0, "ddpm": 5.0, "vqgan": -4.0},
    }
    assert swapped_pairs(distances, "judge") == {
        "same": [],
        "near": [],
        "other": [("ddpm", "dcgan"), ("vqgan", "dcgan"), ("vqgan", "ddpm")],
    }
    assert order_warnings(distances, "CMMD")[0].endswith(
        "the lowest CMMD has dcgan in the features of judge and same; vqgan in the features of other."
    )


def test_real_patches_in_place_of_synthetic_ones_raise_no_caveat(real, extractors):
    unseen = real.split("val")
    result = realism(real, extractors, unseen.images(), unseen.labels, judged(real, unseen.labels, 0.8))
    assert realism_caveats(result) == []
    assert not result.told_apart
    assert result.outside < 0.5
    assert [row.tissue for row in result.classes] == [1, 1]


def test_glass_is_called_no_tissue(real, extractors):
    labels = real.split("train").labels
    glass = RNG.normal(240, 1.5, (len(labels), 48, 48, 3)).clip(0, 255).astype(np.uint8)
    glass[labels == 1] = real.split("train").images()[labels == 1]
    caveats = realism_caveats(realism(real, extractors, glass, labels))
    assert caveats[0] == (
        "The generator draws no tissue of 'benign': 0% of the selected patches show tissue (training patches: 100%)."
    )


def test_noise_is_told_apart_and_unlike_any_real_patch(real, extractors):
    train = real.split("train")
    result = realism(real, extractors, coloured_noise(train.images(), RNG), train.labels)
    assert result.two_sample.auc > 0.99
    assert result.real_two_sample.auc < 0.9
    (caveat,) = realism_caveats(result)
    assert caveat.startswith("A small classifier tells the selected synthetic patches from real ones almost perfectly")
    assert caveat.endswith("100% of them have colours or textures that hardly any real patch has.")
    assert "copies of training patches pass this test" in two_sample_text(result)


def test_traces_that_no_eye_notices_are_called_that(real, extractors):
    unseen = real.split("val")
    result = realism(real, extractors, blurred(unseen.images(), 0.5), unseen.labels)
    assert result.outside < 0.5
    (caveat,) = realism_caveats(result)
    assert caveat.endswith("possibly by traces that no eye notices.")


@pytest.mark.parametrize(
    ("selected", "judge"),
    [(True, "even the classifier that selected them"), (False, "a classifier that did not select them")],
)
def test_patches_of_another_class_are_named(real, extractors, selected, judge):
    unseen = real.split("val")
    judgement = judged(real, unseen.labels, 0.005, selected)
    caveats = realism_caveats(realism(real, extractors, unseen.images(), unseen.labels, judgement))
    assert caveats == [
        f"Selected patches of 'benign' and 'tumour' are not of their class: by {judge}, its median probability is "
        "0.005 and 0.005 (held-out real patches: 0.9 and 0.9)."
    ]


def test_a_judge_that_is_unsure_of_real_patches_demands_less(real, extractors):
    unseen = real.split("val")
    unsure = judged(real, unseen.labels, 0.3)
    unsure.held_out[:] = np.linspace(0.2, 0.4, len(unsure.held_out))[:, None]
    result = realism(real, extractors, unseen.images(), unseen.labels, unsure)
    assert not any(row.of_other_class for row in result.classes)
    assert all(0.2 < row.bound < 0.25 for row in result.classes)


def test_the_section_shows_what_real_patches_reach(real, extractors):
    train = real.split("train")
    result = realism(real, extractors, train.images(), train.labels, judged(real, train.labels, 0.2))
    text, table = realism_section(result, []).blocks
    assert "AUC of" in text.paragraphs[0]
    assert [cell.small for cell in table.rows[0]] == ["", "", "real: 100.0%", "real: 1%", "real: 0.9"]
    assert table.rows[0][4].tone == "bad"


def rows(extractor, fids):
    """Return rows whose FID is the given one, by subset."""
    features = RNG.normal(size=(20, 3))
    metrics = generative_metrics(features, features, extractor)
    return [
        GenerativeRow(subset, "training patches", metrics.model_copy(update={"fid": fid, "precision": fid}))
        for subset, fid in fids.items()
    ]


def test_spaces_that_disagree_about_the_selection_are_named():
    agreeing = rows("net a", {"selected": 1.0, "unselected": 2.0}) + rows(
        "pixels", {"selected": 8.0, "unselected": 9.5}
    )
    assert selection_warnings(agreeing) == []
    (warning,) = selection_warnings(agreeing + rows("net b", {"selected": 3.0, "unselected": 2.0}))
    assert "nearer to training patches than unselected ones in the features of net a and pixels, but farther" in warning
    assert selection_warnings(agreeing + rows("net c", {"selected": 2.0, "unselected": 1.9})) == []
    assert selection_warnings([]) == []


def test_spaces_that_disagree_about_the_order_are_named():
    assert order_warnings({"a": {"dcgan": 1.0, "ddpm": 2.0}, "b": {"dcgan": 5.0, "ddpm": 5.1}}) == []
    (warning,) = order_warnings({"a": {"dcgan": 1.0, "ddpm": 2.0}, "b": {"dcgan": 9.0, "ddpm": 5.0}})
    assert warning.endswith("dcgan in the features of a; ddpm in the features of b.")


def test_a_failed_check_becomes_a_warning():
    passed = ExtractorCheck(extractor="net a", patches=80, floor=1, distances={"noise alone": 9}, failures=[])
    failed = passed.model_copy(update={"extractor": "net b", "failures": ["does not tell real patches from noise"]})
    assert check_warnings([passed]) == []
    assert check_warnings([passed, failed])[0].startswith("The extractor net b does not tell real patches from noise.")


def test_precision_that_blurred_patches_reach_is_not_called_realism():
    sets = {"selected": 0.98, "real held-out": 0.95, "blurred real": 0.97, "shuffled pixels": 0.4}
    text = precision_text(rows("net a", sets))
    assert text.startswith("Precision: 0.95 for held-out real patches, 0.97 for blurred copies of them and 0.40 for")
    assert text.endswith("does not mean here that patches look real, because blurred copies of them reach it.")
    assert "does not mean" not in precision_text(rows("net a", {**sets, "blurred real": 0.3}))
    assert precision_text(rows("net a", {"selected": 0.9})) == ""
