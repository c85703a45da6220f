"""Scores against a plain reference: K full passes, image by image and layer by layer, in float64."""

import numpy as np
import pytest
import torch
from textures import stripes

from histoforge.classifiers.network import Classifier
from histoforge.core.errors import ModelError, PatchSetError
from histoforge.patches.device import to_unit
from histoforge.selection.scores import Scorer
from histoforge.selection.select import select
from histoforge.training.model_files import ModelInfo

PASSES, SIZE = 4, 32
CPU = torch.device("cpu")


def make_classifier(method="resnet34"):
    torch.manual_seed(0)
    config = {"stem": "imagenet", "width": 0.125, "dropout": 0.5, "imagenet_normalisation": False}
    info = ModelInfo(kind="classifier", method=method, config=config, classes=["a", "b"], patch_size=(SIZE, SIZE))
    classifier = Classifier(info)
    for _ in range(3):  # running statistics that are not the initial ones
        classifier(unit(*candidates(16)))
    return classifier.eval().requires_grad_(False)


def candidates(count, seed=0):
    labels = torch.arange(count) % 2
    return torch.from_numpy(stripes(labels.numpy(), SIZE, seed)).permute(0, 3, 1, 2), labels


def unit(images, labels):
    return to_unit(images)


def make_scorer(classifier, layers="stages", seed=0, passes=PASSES):
    scorer = Scorer(classifier, passes=passes, layers=layers, seed=seed, device=CPU, dtype=torch.float32)
    images, labels = candidates(20, seed=5)
    scorer.fit(images.permute(0, 2, 3, 1).numpy(), labels.numpy(), 2, batch_size=8)
    return scorer


def activations(classifier, images, layers, mask):
    """Activations after the residual stages or blocks in one full pass, with `mask` in the dropout's place."""
    seen = []
    hooks = [classifier.dropout.register_forward_hook(lambda module, inputs, output: inputs[0] * mask)]
    for stage in classifier.backbone.stages:
        for block in stage[-1:] if layers == "stages" else stage:
            hooks.append(block.register_forward_hook(lambda module, inputs, output: seen.append(output.double())))
    logits = classifier(images)
    for hook in hooks:
        hook.remove()
    return seen, logits.double()


def masks_of(classifier, scorer, images, labels):
    """The masks that the scorer drew, seen at the last block's input: [passes, B, C, H, W]."""
    seen = []
    hook = classifier.backbone.stages[-1][-1].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    scores = scorer.score(images, labels)
    hook.remove()
    hidden = classifier.trunk(images).hidden
    masked = seen[0].view(PASSES, *hidden.shape)
    return torch.where(masked != 0, masked / hidden, torch.zeros(())).nan_to_num(), scores


def unit_norm(x, dim):
    norm = x.square().sum(dim, keepdim=True).sqrt()
    return torch.where(norm > 0, x / norm, torch.zeros((), dtype=x.dtype))


@pytest.mark.parametrize("layers", ["stages", "blocks"])
def test_scores_and_selection_equal_those_of_k_full_passes_with_the_same_masks(layers):
    classifier = make_classifier()
    scorer = make_scorer(classifier, layers)
    images, labels = unit(*candidates(24)), candidates(24)[1]
    masks, scores = masks_of(classifier, scorer, images, labels)
    entropy, distance, confidence = np.zeros((3, 24))
    for k in range(PASSES):
        maps, logits = activations(classifier, images, layers, masks[k])
        assert len(maps) == len(scorer.centroids) == (4 if layers == "stages" else 16)
        for i in range(24):
            p = torch.exp(logits[i]) / torch.exp(logits[i]).sum()
            entropy[i] += float(-(p * p.log()).sum()) / PASSES
            confidence[i] += float(p[labels[i]]) / PASSES
            for layer, centroid in zip(maps, scorer.centroids, strict=True):
                gap = unit_norm(layer[i], 0) - centroid[labels[i]].double()
                distance[i] += float(gap.square().sum() / (gap.shape[1] * gap.shape[2])) / PASSES
    np.testing.assert_allclose(scores.entropy, entropy, rtol=1e-5)
    np.testing.assert_allclose(scores.confidence, confidence, rtol=1e-5)
    np.testing.assert_allclose(scores.distance, distance, rtol=1e-5)
    options = {"kept": np.array([3, 3]), "classes": ["a", "b"], "threshold": 0.0, "seed": 0}
    selection = select(
        "entropy_centroid", scores.entropy, scores.distance, scores.confidence, labels.numpy(), **options
    )
    expected = select("entropy_centroid", entropy, distance, confidence, labels.numpy(), **options)
    assert np.array_equal(selection.kept, expected.kept)


def test_a_centroid_is_the_normalised_mean_of_the_raw_activations_of_its_class():
    classifier = make_classifier()
    scorer = make_scorer(classifier)
    images, labels = unit(*candidates(20, seed=5)), candidates(20, seed=5)[1]
    maps, _ = activations(classifier, images, "stages", torch.ones(()))
    for layer, centroid in list(zip(maps, scorer.centroids, strict=True))[:3]:
        for label in (0, 1):
            expected = unit_norm(layer[labels == label].mean(0), 0)
            torch.testing.assert_close(centroid[label].double(), expected, rtol=1e-4, atol=1e-6)
    norms = scorer.centroids[3].square().sum(1)
    torch.testing.assert_close(norms, (norms > 0.5).float())


def test_the_entropy_of_the_mean_is_not_the_mean_of_entropies():
    scores = make_scorer(make_classifier()).score(unit(*candidates(8)), candidates(8)[1])
    assert (scores.entropy_of_mean > scores.entropy).all()  # Jensen's inequality; entropy is concave
    assert (scores.entropy >= 0).all()
    assert (scores.entropy_of_mean <= np.log(2)).all()


def test_with_one_pass_both_entropies_are_equal():
    scores = make_scorer(make_classifier(), passes=1).score(unit(*candidates(8)), candidates(8)[1])
    np.testing.assert_allclose(scores.entropy_of_mean, scores.entropy, rtol=1e-9)


def test_the_seed_decides_the_scores():
    classifier = make_classifier()
    images, labels = unit(*candidates(8)), candidates(8)[1]
    first, again, other = (make_scorer(classifier, seed=seed).score(images, labels) for seed in (0, 0, 1))
    assert np.array_equal(first.distance, again.distance)
    assert np.array_equal(first.entropy, again.entropy)
    assert not np.array_equal(first.entropy, other.entropy)


def test_each_pass_and_each_batch_has_different_masks():
    classifier = make_classifier()
    scorer = make_scorer(classifier)
    images, labels = unit(*candidates(8)), candidates(8)[1]
    first, _ = masks_of(classifier, scorer, images, labels)
    second, _ = masks_of(classifier, scorer, images, labels)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
def test_masks_drop_their_share_and_keep_the_mean(rate):
    classifier = make_classifier()
    classifier.dropout.p = rate
    scorer = make_scorer(classifier)
    masks = scorer.masks(scorer.streams, torch.zeros(64, 32, 5, 5))
    assert masks.shape == (PASSES * 64, 32, 5, 5)
    kept = (masks != 0).double().mean().item()
    assert kept == pytest.approx(1 - rate, abs=4 * 0.5 / masks.numel() ** 0.5)
    torch.testing.assert_close(masks[masks != 0].unique(), torch.tensor([1 / (1 - rate)]))


def test_a_class_without_real_patches_has_no_centroid():
    scorer = Scorer(make_classifier(), passes=2, layers="stages", seed=0, device=CPU, dtype=torch.float32)
    images, _ = candidates(6)
    with pytest.raises(PatchSetError, match="no patches in the train split"):
        scorer.fit(images.permute(0, 2, 3, 1).numpy(), np.zeros(6, np.int64), 2, batch_size=4)


def test_an_extractor_that_returns_nan_is_refused():
    classifier = make_classifier()
    scorer = make_scorer(classifier)
    classifier.fc.weight.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        scorer.score(unit(*candidates(4)), candidates(4)[1])
