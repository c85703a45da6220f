"""Stain normalisation: known stains are estimated, tissue is normalised, and glass stays white."""

import numpy as np
import pytest

from histoforge.core.errors import SourceError
from histoforge.slides.stain import MACENKO_AMOUNTS, Macenko, Reinhard, macenko_fit, reinhard_fit, stain_normaliser

STAINS = np.array([[0.55, 0.75, 0.37], [0.15, 0.85, 0.50]])
OTHER = np.array([[0.70, 0.65, 0.30], [0.22, 0.80, 0.56]])
LIGHT = 240


def tissue(stains: np.ndarray, strength: float = 1.0, seed: int = 0) -> np.ndarray:
    """Patches where every px holds some of two stains, uint8 [8, 64, 64, 3]."""
    rng = np.random.default_rng(seed)
    amounts = rng.beta(0.6, 0.6, (8, 64, 64, 1))
    amounts = np.concatenate([amounts, 1 - amounts], -1) * rng.uniform(0.3, 1.6, (8, 64, 64, 1)) * strength
    unit = stains / np.linalg.norm(stains, axis=1, keepdims=True)
    return (LIGHT * np.exp(-amounts @ unit) - 1).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("stains", [STAINS, OTHER])
def test_macenko_finds_the_stains_haematoxylin_first(stains: np.ndarray) -> None:
    fitted = macenko_fit(tissue(stains))
    assert fitted is not None
    unit = stains / np.linalg.norm(stains, axis=1, keepdims=True)
    np.testing.assert_allclose((fitted[0] * unit).sum(axis=1), 1, atol=0.003)
    assert fitted[0][0, 0] > fitted[0][1, 0], "haematoxylin absorbs more red"


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_a_source_equal_to_its_target_is_unchanged(method: str) -> None:
    images = tissue(STAINS)
    changed = stain_normaliser(method, images).for_source(images)(images)
    np.testing.assert_allclose(changed.astype(int), images, atol=2)


def test_macenko_transfers_the_stains_of_the_target() -> None:
    reference = tissue(STAINS)
    source = tissue(OTHER, strength=0.6)
    changed = Macenko(reference).for_source(source)(source)
    assert np.abs(changed.astype(int) - reference).mean() < 0.2 * np.abs(source.astype(int) - reference).mean()


def test_reinhard_transfers_mean_and_std_of_the_target() -> None:
    reference, source = tissue(STAINS), tissue(OTHER, strength=1.3, seed=1)
    normaliser = Reinhard(reference)
    fitted = reinhard_fit(normaliser.for_source(source)(source))
    assert fitted is not None
    np.testing.assert_allclose(fitted[0], normaliser.mean, atol=0.03)
    np.testing.assert_allclose(fitted[1], normaliser.std, rtol=0.15)


@pytest.mark.parametrize("normaliser", [Macenko(), Reinhard()])
def test_glass_stays_white(normaliser: Macenko | Reinhard) -> None:
    glass = np.full((2, 32, 32, 3), 244, np.uint8)
    assert normaliser.for_source(tissue(STAINS))(glass).min() > 235


@pytest.mark.parametrize("normaliser", [Macenko(), Reinhard()])
def test_a_source_without_stain_is_unchanged(normaliser: Macenko | Reinhard) -> None:
    glass = np.random.default_rng(0).integers(236, 250, (4, 64, 64, 3), np.uint8)
    np.testing.assert_array_equal(normaliser.for_source(glass)(glass), glass)


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_a_reference_without_stain_is_refused(method: str) -> None:
    with pytest.raises(SourceError, match="hardly any stained tissue"):
        stain_normaliser(method, np.full((64, 64, 3), 245, np.uint8))


def with_glass(images: np.ndarray, glass: float) -> np.ndarray:
    """Return a copy in which a fraction of the rows of each patch is glass."""
    images = images.copy()
    images[:, : round(images.shape[1] * glass)] = 243
    return images


def published_amounts(images: np.ndarray) -> np.ndarray:
    """99th percentiles of the amounts [2] as the authors' normalizeStaining.m computes them."""
    density = -np.log((images.reshape(-1, 3).astype(float) + 1) / 240)
    stained = density[~(density < 0.15).any(axis=1)]
    vectors = np.linalg.eigh(np.cov(stained, rowvar=False))[1][:, 1:]
    vectors = vectors * np.sign(vectors.sum(axis=0))
    angle = np.arctan2(stained @ vectors[:, 1], stained @ vectors[:, 0])
    ends = [vectors @ [np.cos(phi), np.sin(phi)] for phi in np.percentile(angle, [1, 99])]
    stains = np.stack(sorted(ends, key=lambda vector: -vector[0]), axis=1)
    amounts = np.linalg.lstsq(stains, density.T, rcond=None)[0]
    return np.percentile(amounts, 99, axis=1)


@pytest.mark.parametrize("glass", [0.0, 0.5, 0.9])
def test_macenko_amounts_equal_those_of_the_published_code(glass: float) -> None:
    images = with_glass(tissue(STAINS), glass)
    fitted = macenko_fit(images)
    assert fitted is not None
    np.testing.assert_allclose(fitted[1], published_amounts(images), rtol=1e-6)


@pytest.mark.parametrize("glass", [0.0, 0.5, 0.9])
def test_the_published_target_is_reached_whatever_the_share_of_glass(glass: float) -> None:
    images = with_glass(tissue(STAINS), glass)
    changed = Macenko().for_source(images)(images)
    np.testing.assert_allclose(published_amounts(changed), MACENKO_AMOUNTS, rtol=0.05)


@pytest.mark.parametrize("glass", [0.0, 0.5, 0.9])
def test_macenko_with_an_image_as_its_own_target_is_the_identity(glass: float) -> None:
    images = with_glass(tissue(STAINS), glass)
    changed = Macenko(images).for_source(images)(images)
    np.testing.assert_allclose(changed.astype(int), images, atol=2)
