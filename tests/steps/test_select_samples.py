"""The step `select_samples`: drawn and reused pools, exact counts, and errors."""

import numpy as np
import pytest
from PIL import Image
from textures import CLASSES, write_stripes
from untrained_generator import save_generator

from histoforge.core.errors import ModelError, SelectionError, SettingsError
from histoforge.patches import PatchSet
from histoforge.steps import import_patches, train_classifier
from histoforge.steps.import_patches_config import ImportPatchesConfig
from histoforge.steps.select_samples import run
from histoforge.steps.select_samples_config import SelectSamplesConfig
from histoforge.steps.train_classifier_config import TrainClassifierConfig

SIZE = 32
SCORES = ["entropy", "entropy_of_mean", "distance", "confidence"]


def settings(**values):
    return SelectSamplesConfig.make({"device": "cpu", "passes": 3, "batch_size": 16, **values})


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Paths of real patches (20 and 12 for training), of an extractor's arm, and of a generator."""
    folder = tmp_path_factory.mktemp("given")
    write_stripes(folder / "patches", (20, 12), (4, 4), (4, 4), size=SIZE)
    config = {"backbone": "resnet10", "width": 0.125, "stem": "imagenet", "epochs": 2, "seeds": 2, "batch_size": 8}
    classifier = TrainClassifierConfig.make({**config, "device": "cpu"})
    train_classifier.run(classifier, patches=folder / "patches", model=folder / "extractor")
    save_generator(folder / "generator")
    return {name: folder / name for name in ("patches", "extractor", "generator")}


@pytest.fixture(scope="module")
def drawn(given, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    summary = run(settings(pool_multiple=3.0), **given, selected=folder / "selected", pool=folder / "pool")
    return folder, summary


def test_the_pool_and_the_selection_have_exact_counts(drawn):
    folder, summary = drawn
    pool, selected = PatchSet.open(folder / "pool"), PatchSet.open(folder / "selected")
    assert pool.counts.tolist() == [60, 36]
    assert selected.counts.tolist() == [10, 6]
    assert (summary.pool, summary.kept) == ({"coarse": 60, "fine": 36}, {"coarse": 10, "fine": 6})
    assert summary.real == {"coarse": 20, "fine": 12}
    assert pool.info.synthetic
    assert selected.info.synthetic
    assert pool.info.mpp == selected.info.mpp == 0.5


def test_each_patch_carries_its_scores_and_its_origin(drawn, given):
    folder, _ = drawn
    pool, selected = PatchSet.open(folder / "pool"), PatchSet.open(folder / "selected")
    kept = pool.where(pool.index["kept"].to_numpy())
    np.testing.assert_array_equal(kept.images(), selected.images())
    for column in (*SCORES, "method", "generator", "seed", "place", "rank"):
        np.testing.assert_array_equal(kept.index[column], selected.index[column])
    assert np.isfinite(pool.index[SCORES].to_numpy()).all()
    assert set(pool.index["method"]) == {"histogan"}
    assert pool.index["generator"].nunique() == 1
    for label, count in enumerate(pool.counts):
        assert pool.index["place"][pool.labels == label].tolist() == list(range(count))


def test_algorithm_1_keeps_certain_and_near_patches(drawn):
    _, summary = drawn
    assert summary.entropy_kept < summary.entropy_pool
    assert summary.distance_kept < summary.distance_pool


def test_the_same_settings_give_the_same_patches(drawn, given, tmp_path):
    run(settings(pool_multiple=3.0), **given, selected=tmp_path / "selected", pool=tmp_path / "pool")
    for name in ("selected", "pool"):
        assert PatchSet.open(tmp_path / name).info.files == PatchSet.open(drawn[0] / name).info.files


def test_candidates_do_not_depend_on_how_many_others_are_drawn(drawn, given, tmp_path):
    run(settings(pool_multiple=2.0), **given, selected=tmp_path / "selected", pool=tmp_path / "pool")
    small, large = PatchSet.open(tmp_path / "pool"), PatchSet.open(drawn[0] / "pool")
    whole_batches = 32  # of 40 candidates of the first class
    np.testing.assert_array_equal(small.images(slice(whole_batches)), large.images(slice(whole_batches)))


@pytest.mark.parametrize("rule", ["entropy_centroid", "distance", "random", "confidence"])
def test_a_smaller_pool_is_taken_from_the_front_of_a_scored_one(drawn, given, tmp_path, rule):
    config = settings(rule=rule, pool_multiple=1.5, threshold=0.0)
    paths = {"patches": given["patches"], "extractor": given["extractor"], "pool_in": drawn[0] / "pool"}
    summary = run(config, **paths, selected=tmp_path / "selected", pool=tmp_path / "pool")
    assert summary.kept == {"coarse": 10, "fine": 6}
    pool, large = PatchSet.open(tmp_path / "pool"), PatchSet.open(drawn[0] / "pool")
    assert pool.counts.tolist() == [30, 18]
    prefix = large.where(np.r_[0:30, 60:78])
    np.testing.assert_array_equal(pool.images(), prefix.images())
    for column in SCORES:
        np.testing.assert_array_equal(pool.index[column], prefix.index[column])
    index = pool.index[pool.index["label"] == 0]
    if rule == "distance":
        assert index["distance"][index["kept"]].max() < index["distance"][~index["kept"]].min()
    if rule == "confidence":
        assert index["confidence"][index["kept"]].min() > index["confidence"][~index["kept"]].max()


def test_a_pool_that_another_extractor_scored_is_refused(drawn, given, tmp_path):
    paths = {"patches": given["patches"], "extractor": given["extractor"] / "seed-1", "pool_in": drawn[0] / "pool"}
    with pytest.raises(SelectionError, match="scored with another 'extractor'"):
        run(settings(pool_multiple=1.5), **paths, selected=tmp_path / "selected", pool=tmp_path / "pool")
    assert not (tmp_path / "pool").exists()


def test_a_pool_that_is_too_small_or_none_is_refused(drawn, given, tmp_path):
    paths = {"patches": given["patches"], "extractor": given["extractor"]}
    out = {"selected": tmp_path / "selected", "pool": tmp_path / "pool"}
    with pytest.raises(SelectionError, match="has 60 candidates of class 'coarse', and 80 are needed"):
        run(settings(pool_multiple=4.0), **paths, pool_in=drawn[0] / "pool", **out)
    with pytest.raises(SelectionError, match="is not a scored pool"):
        run(settings(), **paths, pool_in=given["patches"], **out)
    with pytest.raises(SettingsError, match="give a generator, candidates, or pool_in"):
        run(settings(), **paths, **out)


def test_a_pool_smaller_than_the_selection_is_refused_before_drawing(given, tmp_path):
    config = settings(ratio=2.0, pool_multiple=1.0)
    with pytest.raises(SelectionError, match="20 candidates of class 'coarse', and 40 are to be kept"):
        run(config, **given, selected=tmp_path / "selected", pool=tmp_path / "pool")


def test_a_selection_that_keeps_nothing_names_the_threshold_and_writes_nothing(drawn, given, tmp_path):
    paths = {"patches": given["patches"], "extractor": given["extractor"], "pool_in": drawn[0] / "pool"}
    config = settings(rule="confidence", threshold=0.99999, pool_multiple=3.0)
    with pytest.raises(SelectionError, match="above threshold=0.99999 .* lower threshold"):
        run(config, **paths, selected=tmp_path / "selected", pool=tmp_path / "pool")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("classes", "size"), [(["fine", "coarse"], SIZE), (CLASSES, 16)])
def test_a_generator_of_other_classes_or_another_patch_size_is_refused(given, tmp_path, classes, size):
    save_generator(tmp_path / "generator", classes, size)
    paths = {**given, "generator": tmp_path / "generator"}
    drawn_patches = f"the classes {', '.join(classes)}" if classes != CLASSES else f"patches of {size}x{size} px"
    with pytest.raises(ModelError, match=f"draws {drawn_patches}, and the patch set has"):
        run(settings(), **paths, selected=tmp_path / "selected", pool=tmp_path / "pool")


def test_an_extractor_of_other_classes_is_refused(given, tmp_path):
    write_stripes(tmp_path / "patches", (4, 4), (), (), size=SIZE, classes=["benign", "malignant"])
    paths = {**given, "patches": tmp_path / "patches"}
    with pytest.raises(ModelError, match="trained on the classes coarse, fine, and the patch set .* benign, malignant"):
        run(settings(), **paths, selected=tmp_path / "selected", pool=tmp_path / "pool")


@pytest.fixture(scope="module")
def foreign(drawn, given, tmp_path_factory):
    """The drawn pool as a folder of PNGs by class, imported as if somebody else had made it."""
    folder = tmp_path_factory.mktemp("foreign")
    pool = PatchSet.open(drawn[0] / "pool")
    for number, (image, name) in enumerate(zip(pool.images(), pool.index["class_name"], strict=True)):
        (folder / "png" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "png" / name / f"{number:04}.png")
    settings = {"source": str(folder / "png"), "source_mpp": 0.5, "name": "foreign"}
    config = ImportPatchesConfig.make(settings)
    import_patches.run(config, patches=given["patches"], synthetic=folder / "imported")
    return folder / "imported"


@pytest.mark.parametrize("rule", ["entropy_centroid", "random"])
def test_foreign_patches_get_the_scores_and_the_selection_of_the_generator_that_drew_them(
    drawn, given, foreign, tmp_path, rule
):
    paths = {name: given[name] for name in ("patches", "extractor")}
    own = {"pool_in": drawn[0] / "pool", "selected": tmp_path / "own", "pool": tmp_path / "own-pool"}
    run(settings(rule=rule, pool_multiple=3.0), **paths, **own)
    out = {"selected": tmp_path / "selected", "pool": tmp_path / "pool"}
    summary = run(settings(rule=rule, pool_multiple=3.0), **paths, candidates=foreign, **out)
    assert summary.generator == PatchSet.open(foreign).digest
    for expected, found in (("own", "selected"), ("own-pool", "pool")):
        internal, external = PatchSet.open(tmp_path / expected), PatchSet.open(tmp_path / found)
        np.testing.assert_array_equal(internal.images(), external.images())
        for column in (*SCORES, "place", "rank", "kept"):
            np.testing.assert_array_equal(internal.index[column], external.index[column])
    assert set(external.index["method"]) == {"foreign"}


def test_a_given_set_may_have_fewer_candidates_and_its_pool_serves_other_rules(given, foreign, tmp_path):
    paths = {name: given[name] for name in ("patches", "extractor")}
    first = {"selected": tmp_path / "selected", "pool": tmp_path / "pool"}
    summary = run(settings(pool_multiple=100.0), **paths, candidates=foreign, **first)
    assert summary.pool == {"coarse": 60, "fine": 36}
    second = {"selected": tmp_path / "selected2", "pool": tmp_path / "pool2"}
    again = run(settings(rule="distance", pool_multiple=100.0), **paths, pool_in=tmp_path / "pool", **second)
    assert again.pool == summary.pool
    made_by = PatchSet.open(tmp_path / "pool2").info.made_by
    assert made_by["given"]["name"] == "foreign"
    assert set(made_by["codecs"]) == {"PNG"}
    fewer = run(settings(pool_multiple=2.0), **paths, candidates=foreign, **first)
    assert fewer.pool == {"coarse": 40, "fine": 24}


def test_a_given_set_that_is_too_small_or_given_twice_is_refused(drawn, given, foreign, tmp_path):
    paths = {name: given[name] for name in ("patches", "extractor")}
    out = {"selected": tmp_path / "selected", "pool": tmp_path / "pool"}
    with pytest.raises(SelectionError, match="has 60 candidates of class 'coarse', and 100 are to be kept"):
        run(settings(ratio=5.0), **paths, candidates=foreign, **out)
    with pytest.raises(SettingsError, match="both candidates and pool_in"):
        run(settings(), **paths, candidates=foreign, pool_in=drawn[0] / "pool", **out)
