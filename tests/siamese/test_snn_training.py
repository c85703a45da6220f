"""The contrastive loss and a stage of the training, against plain references."""

import copy

import numpy as np
import pytest
import torch
from slides_of_patients import open_patients
from torch import nn
from torch.nn import functional as F

from histoforge.core.errors import TrainingError
from histoforge.siamese import training
from histoforge.siamese.loss import contrastive_loss
from histoforge.siamese.network import MftSnn
from histoforge.siamese.pairs import Augmentation, PairSource
from histoforge.siamese.training import Hyperparameters, Stage, fit
from histoforge.training.engine import Engine

PARAMS = Hyperparameters(batch_size=8, reconstruction_rate=1e-2, similarity_rate=1e-3, margin=1.0)


def embeddings(count=6):
    return F.normalize(torch.rand(2, count, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=2)


@pytest.mark.parametrize("margin", [0.4, 1.0])
def test_the_loss_is_the_papers_formula(margin):
    first, second = embeddings()
    label = torch.tensor([0, 1, 0, 1, 1, 0])
    expected = []
    for a, b, y in zip(first.numpy(), second.numpy(), label.tolist(), strict=True):
        d = np.sqrt(((a - b) ** 2).sum())
        expected.append(d**2 if y == 0 else max(0.0, margin - d) ** 2)
    assert float(contrastive_loss(first, second, label, margin)) == pytest.approx(np.mean(expected))


def test_its_gradient_is_the_formulas():
    first, second = (embedding.requires_grad_() for embedding in embeddings().unbind())
    label = torch.tensor([0, 1, 0, 1, 1, 0])
    assert torch.autograd.gradcheck(lambda a, b: contrastive_loss(a, b, label, 1.0), (first, second))


def test_equal_embeddings_of_a_dissimilar_pair_give_a_finite_gradient():
    first = torch.full((1, 4), 0.5, requires_grad=True)
    loss = contrastive_loss(first, torch.full((1, 4), 0.5), torch.ones(1), 1.0)
    loss.backward()
    assert loss.item() == pytest.approx(1.0, abs=1e-5)
    assert torch.isfinite(first.grad).all()


def test_pairs_beyond_the_margin_have_no_loss():
    assert contrastive_loss(torch.eye(2), torch.eye(2).flip(0), torch.ones(2), 1.0) == 0


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    patches = open_patients(tmp_path_factory.mktemp("pairs") / "p").split("train")
    return PairSource(patches, torch.device("cpu"), Augmentation(0.2, 0.2, 0.02))


def network(seed=0):
    torch.manual_seed(seed)
    return MftSnn(width=0.125).to(memory_format=torch.channels_last)


def engine(path, precision="float32"):
    return Engine(path, {}, device="cpu", precision=precision, seed=3, checkpoint_every=0)


@pytest.mark.parametrize(("layers", "decoder"), [(13, True), (8, True), (3, False)])
def test_a_step_is_two_clean_graphs_with_an_optimiser_each(tmp_path, source, monkeypatch, layers, decoder):
    """A0-4: Adagrad follows the reconstruction, then Adam the contrastive loss of the network as it is by then."""
    batches = []
    monkeypatch.setattr(source, "pairs", lambda *given: batches.append(PairSource.pairs(source, *given)) or batches[-1])
    trained, reference = network(), network()
    losses = fit(trained, Stage("s", layers, decoder, 1, 3), [source], PARAMS, engine(tmp_path))

    free = [module for module in reference.features if isinstance(module, nn.Conv2d)][-layers:]
    encoder = [p for module in free for p in module.parameters()]
    adagrad = torch.optim.Adagrad(encoder + (list(reference.decoder.parameters()) if decoder else []), 1e-2)
    adam = torch.optim.Adam(encoder, 1e-3)
    expected = []
    for pairs in batches:
        images = torch.cat([pairs.first, pairs.second])
        error = F.mse_loss(reference.decode(reference.maps(images), source.size), images)
        reference.zero_grad()
        error.backward()
        adagrad.step()
        first, second = reference(images).chunk(2)
        contrast = contrastive_loss(first, second, pairs.is_dissimilar, 1.0)
        reference.zero_grad()
        contrast.backward()
        adam.step()
        expected.append((contrast.item(), error.item()))
    for (name, tensor), expected_tensor in zip(
        trained.state_dict().items(), reference.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(tensor, expected_tensor, rtol=1e-3, atol=2e-5, msg=name)
    (row,) = losses.rows
    assert (row["contrastive"], row["reconstruction"]) == pytest.approx(tuple(np.mean(expected, axis=0)), rel=1e-3)


@pytest.mark.parametrize(("layers", "decoder"), [(8, True), (3, False)])
def test_only_the_layers_of_the_stage_are_trained(tmp_path, source, layers, decoder):
    trained = network()
    before = copy.deepcopy(trained.state_dict())
    fit(trained, Stage("s", layers, decoder, 1, 2), [source], PARAMS, engine(tmp_path))
    names = [name for name, tensor in trained.state_dict().items() if not torch.equal(tensor, before[name])]
    encoder = [name for name in before if name.startswith("features.")][-2 * layers :]
    assert set(names) == {*encoder, *(name for name in before if decoder and name.startswith("decoder."))}


def test_one_batch_is_overfitted(tmp_path):
    patches = open_patients(tmp_path / "p", patients=(4, 0, 0), slides=1, patches=2).split("train")
    source = PairSource(patches, torch.device("cpu"), Augmentation(0.05, 0.05, 0.01), same_slide=False)
    losses = fit(network(), Stage("s", 13, True, 2, 40), [source], PARAMS, engine(tmp_path, "auto"))
    assert losses.rows[-1]["contrastive"] < 0.13 < 0.9 * losses.rows[0]["contrastive"]
    assert losses.rows[-1]["reconstruction"] < losses.rows[0]["reconstruction"]


def test_two_sources_take_turns_in_proportion(tmp_path, source, monkeypatch):
    turns = []

    sources = [source, copy.copy(source)]
    for name, pair_source in zip(("first", "second"), sources, strict=True):
        monkeypatch.setattr(
            pair_source, "pairs", lambda *given, name=name: turns.append(name) or PairSource.pairs(source, *given)
        )
    fit(network(), Stage("s", 1, False, 1, 8, second_share=0.25), sources, PARAMS, engine(tmp_path))
    assert turns == ["first", "first", "first", "second"] * 2


def test_a_loss_that_is_not_finite_stops_the_stage(tmp_path, source, monkeypatch):
    monkeypatch.setattr(training, "contrastive_loss", lambda *given: contrastive_loss(*given) * float("nan"))
    with pytest.raises(TrainingError, match="not finite at step 1 "):
        fit(network(), Stage("s", 3, False, 1, 2), [source], PARAMS, engine(tmp_path))
