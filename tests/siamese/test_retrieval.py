"""Retrieval is exact, the order of ties is fixed, and a cache that does not fit is not used."""

import numpy as np
import pytest
import torch
from tiny_guide import noise, random_guide, write_set

from histoforge.core.errors import SettingsError
from histoforge.siamese import retrieval
from histoforge.siamese.retrieval import embed_images, embed_set, most_similar, typical_similarity


def draw(count: int, seed: int, dims: int = 24) -> np.ndarray:
    values = np.abs(np.random.default_rng(seed).normal(size=(count, dims)))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def test_the_nearest_patches_equal_those_of_a_full_comparison(monkeypatch):
    monkeypatch.setattr(retrieval, "QUERY_BLOCK", 7)
    monkeypatch.setattr(retrieval, "GALLERY_BLOCK", 11)
    queries, gallery = draw(20, 0), draw(50, 1)
    neighbours = most_similar(queries, gallery, 6)
    cosines = queries.astype(np.float64) @ gallery.astype(np.float64).T
    order = np.argsort(-cosines, axis=1)[:, :6]
    np.testing.assert_array_equal(neighbours.rows, order)
    np.testing.assert_array_equal(neighbours.similarities, np.take_along_axis(cosines, order, 1).astype(np.float32))


def test_equally_similar_patches_are_in_the_order_of_the_set_for_any_block_size(monkeypatch):
    gallery = np.concatenate([draw(3, 2), np.repeat(draw(1, 3), 30, axis=0), draw(3, 4)])
    expected = np.arange(3, 8)
    for block in (4, 7, 8192):
        monkeypatch.setattr(retrieval, "GALLERY_BLOCK", block)
        neighbours = most_similar(gallery[10:11], gallery, 5)
        np.testing.assert_array_equal(neighbours.rows[0], expected)
        np.testing.assert_array_equal(neighbours.similarities[0], neighbours.similarities[0, 0].repeat(5))


def test_patches_with_nothing_in_common_are_last_and_at_zero():
    gallery = np.eye(4, dtype=np.float32)
    gallery[2] = 0.0
    neighbours = most_similar(gallery[1:2], gallery, 4)
    np.testing.assert_array_equal(neighbours.rows[0], [1, 0, 2, 3])
    np.testing.assert_array_equal(neighbours.similarities[0], [1, 0, 0, 0])


def test_a_patch_is_not_its_own_neighbour(monkeypatch):
    monkeypatch.setattr(retrieval, "GALLERY_BLOCK", 9)
    gallery = draw(40, 5)
    rows = np.array([0, 17, 39])
    neighbours = most_similar(gallery[rows], gallery, 39, excluded=rows)
    for index, row in enumerate(rows):
        assert sorted(neighbours.rows[index]) == [other for other in range(40) if other != row]
    with pytest.raises(SettingsError, match=r"k is 40, and there are 39 patches"):
        most_similar(gallery[rows], gallery, 40, excluded=rows)


@pytest.mark.parametrize("k", [0, 41])
def test_an_impossible_k_is_an_error(k):
    with pytest.raises(SettingsError, match=rf"k is {k}, and there are 40 patches .*: give 1 to 40\."):
        most_similar(draw(2, 6), draw(40, 7), k)


def test_the_typical_similarity_is_the_median():
    queries, gallery = draw(3, 8), draw(31, 9)
    np.testing.assert_allclose(typical_similarity(queries, gallery), np.median(queries @ gallery.T, axis=1), rtol=1e-6)


def test_a_brighter_copy_of_a_patch_finds_the_patch():
    guide, patches = random_guide(), noise(40, 10)
    brighter = np.clip(patches[[4, 9]].astype(int) + 6, 0, 255).astype(np.uint8)
    neighbours = most_similar(embed_images(guide, brighter), embed_images(guide, patches), 1)
    np.testing.assert_array_equal(neighbours.rows[:, 0], [4, 9])


def test_a_cache_is_used_and_replaced_if_it_does_not_fit(tmp_path):
    patches = write_set(tmp_path / "patches", noise(12, 11))
    guide, cache = random_guide(), tmp_path / "cache"
    plain = embed_set(guide, patches)
    assert not cache.exists()
    np.testing.assert_array_equal(embed_set(guide, patches, cache), plain)
    (file,) = cache.iterdir()
    np.save(file, np.roll(plain, 1, axis=0))
    np.testing.assert_array_equal(embed_set(guide, patches, cache), np.roll(plain, 1, axis=0))
    for damage in (plain[:5], plain.astype(np.float64), np.full_like(plain, np.nan)):
        np.save(file, damage)
        np.testing.assert_array_equal(embed_set(guide, patches, cache), plain)
    file.write_bytes(file.read_bytes()[:90])
    np.testing.assert_array_equal(embed_set(guide, patches, cache), plain)


def test_each_guide_and_each_set_has_a_separate_cache_file(tmp_path):
    first, second = (write_set(tmp_path / name, noise(6, seed)) for name, seed in (("a", 12), ("b", 13)))
    guide, other = random_guide(0), random_guide(1)
    other.info = other.info.model_copy(update={"digest": "another"})
    embed_set(guide, first, tmp_path / "cache")
    embed_set(guide, second, tmp_path / "cache")
    np.testing.assert_array_equal(embed_set(other, first, tmp_path / "cache"), embed_set(other, first))
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_embeddings_are_of_length_1_and_not_negative():
    embeddings = torch.from_numpy(embed_images(random_guide(), noise(9, 14)))
    assert bool((embeddings >= 0).all())
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(9))
