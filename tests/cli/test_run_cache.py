"""The cache key of a task on this machine: its resolved settings, the content of its inputs, and its code."""

import shutil

import pytest
from kfp import dsl, local
from kfp.local import cache

from histoforge.cli.run.cache import RunCache, use_run_cache

TRAIN = {"preset": "quickstart", "overrides": {"train_classifier.epochs": 3}, "arm": "gan", "seeds": 0}


@pytest.fixture
def kept(tmp_path):
    return RunCache(tmp_path / "run" / "cache", tmp_path / "run")


def key(kept, arguments=TRAIN, name="comp-train-classifier", command=("python",), **more):
    return kept.compute_key(name, "image", list(command), {**arguments, **more}, {"OMP_NUM_THREADS": "2"})


def artifact(kept, path="a/model", **metadata):
    return dsl.Model(name="model", uri=str(kept.folder / path), metadata=metadata)


@pytest.mark.parametrize(
    "same",
    [
        {"overrides": {"train_classifier.epochs": 3, "train_generator.epochs": 9}},
        {"overrides": {"train_classifier.epochs": 3.0, "train_classifier.batch_size": 32}},  # which the preset says
        {"overrides": {}, "epochs": 3},
        {"checkpoints": "/elsewhere/checkpoints"},
    ],
)
def test_arguments_that_leave_the_settings_unchanged_leave_the_key_unchanged(kept, same):
    assert key(kept, **same) == key(kept)


@pytest.mark.parametrize(
    "other",
    [
        {"overrides": {"train_classifier.epochs": 4}},
        {"preset": "demo"},
        {"arm": "selective"},
        {"command": ("python", "-u")},
        {"name": "comp-train-generator", "arguments": {}},
    ],
)
def test_changes_of_the_result_change_the_key(kept, other):
    assert key(kept, **other) != key(kept)


def test_the_place_of_a_task_in_the_pipeline_and_its_threads_do_not_matter(kept):
    second = kept.compute_key("comp-train-classifier-2", "other image", ["python"], TRAIN, {"OMP_NUM_THREADS": "1"})
    assert second == key(kept)


def test_an_input_counts_by_its_digest_and_without_one_by_its_place(kept, tmp_path):
    first = key(kept, patches=artifact(kept, digest="1", preset="demo"))
    assert key(kept, patches=artifact(kept, "b/model", digest="1", preset="sane")) == first
    assert key(kept, patches=artifact(kept, digest="2")) != first
    assert key(kept, arms=[artifact(kept)]) != key(kept, arms=[artifact(kept, "b/model")])
    elsewhere = RunCache(tmp_path / "moved" / "cache", tmp_path / "moved")
    assert key(elsewhere, arms=[artifact(elsewhere)]) == key(kept, arms=[artifact(kept)])


def test_a_moved_folder_finds_its_own_artifacts(kept, tmp_path):
    artifact_with_digest = artifact(kept, digest="1")
    (kept.folder / "a" / "model").mkdir(parents=True)
    kept.put("k", {"model": artifact_with_digest, "arms": [artifact_with_digest], "count": 3})
    assert kept.get("k")["model"].uri == artifact_with_digest.uri
    shutil.move(kept.folder, tmp_path / "moved")
    assert kept.get("k") is None
    moved = RunCache(tmp_path / "moved" / "cache", tmp_path / "moved").get("k")
    assert moved["model"].uri == moved["arms"][0].uri == str(tmp_path / "moved" / "a" / "model")
    assert (moved["count"], moved["model"].metadata) == (3, {"digest": "1"})
    shutil.rmtree(tmp_path / "moved" / "a")
    assert RunCache(tmp_path / "moved" / "cache", tmp_path / "moved").get("k") is None


def test_a_damaged_entry_is_no_entry(kept):
    kept.put("k", {"count": 3})
    (kept.folder / "cache" / "k.json").write_text("{")
    assert kept.get("k") is None


def test_kfp_uses_the_cache_until_it_is_initialised_anew(tmp_path):
    local.init(
        local.SubprocessRunner(use_venv=False), str(tmp_path), enable_caching=True, cache_root=str(tmp_path / "c")
    )
    use_run_cache(tmp_path / "c", tmp_path)
    assert isinstance(cache.get_local_cache(), RunCache)
    local.init(local.SubprocessRunner(use_venv=False), str(tmp_path), enable_caching=True)
    assert not isinstance(cache.get_local_cache(), RunCache)
