"""Measure how fast the critic of `vitgan` learns to see nuclei, by its first weights and Adam's first beta.

    python benchmarks/vitgan_critic.py

The critic tells phantom patches from flat ones of the same mean colour with a little noise, as at the point of a
training where the generator has found the colour and no nuclei yet. The loss is that of Goodfellow et al. 2014 without
a penalty, so that only the network and its optimiser matter; at chance it is 1.386. The classes are learnt at the same
time.
"""

import argparse

import numpy as np
import torch
from timing import surroundings
from torch import Tensor, nn
from torch.nn import functional as F

from histoforge.classifiers.network import Classifier
from histoforge.generators.vitgan.config import VitganConfig
from histoforge.generators.vitgan.discriminator import VitganDiscriminator, classifier_info
from histoforge.phantom.patches import draw_patches
from histoforge.phantom.slides import CLASSES
from histoforge.training.model_files import ModelInfo

SIZE, BATCH, MEASURED = 32, 16, slice(90, 110)


def narrow_start(layer: nn.Module) -> None:
    """Give linear layers weights with a standard deviation of 0.02."""
    if isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)


def critic(seed: int) -> VitganDiscriminator:
    """Return a critic as narrow as that of the preset `quickstart`."""
    torch.manual_seed(seed)
    config = VitganConfig(discriminator_width=0.25, discriminator_step=4)
    info = ModelInfo(
        kind="generator",
        method="vitgan",
        config=config.model_dump(),
        classes=list(CLASSES),
        patch_size=(SIZE, SIZE),
    )
    return VitganDiscriminator(Classifier(classifier_info(config, info)))


def train(network: VitganDiscriminator, images: Tensor, labels: Tensor, rate: float, beta1: float, seed: int) -> float:
    """Return the mean loss of steps 90 to 110."""
    optimizer = torch.optim.Adam(network.parameters(), rate, betas=(beta1, 0.99), fused=True)
    rng = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(MEASURED.stop):
        rows = torch.randint(len(images), (BATCH,), generator=rng)
        nuclei = images[rows]
        flat = nuclei.mean((2, 3), keepdim=True) + 0.05 * torch.randn(nuclei.shape, generator=rng)
        with torch.autocast("cpu", torch.bfloat16):
            scores, logits = network(torch.cat([nuclei, flat]))
        real, fake = scores.chunk(2)
        loss = F.softplus(-real).mean() + F.softplus(fake).mean()
        optimizer.zero_grad()
        (loss + F.cross_entropy(logits[:BATCH], labels[rows])).backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses[MEASURED]))


def main() -> None:
    """Train critics and print their losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="*", default=[3e-4], help="learning rates")
    arguments = parser.parse_args()
    drawn = draw_patches(600, (SIZE, SIZE), mpp=1.0, patients=12)
    images = torch.tensor(drawn.images).permute(0, 3, 1, 2) / 127.5 - 1
    labels = torch.tensor(drawn.labels)
    print(surroundings(["torch"]))
    print("| learning rate | first weights | beta1 | loss at step 100, by seed |\n| ---: | --- | ---: | --- |")
    for rate in arguments.rates:
        for start in ("0.02", "Xavier"):
            for beta1 in (0.0, 0.5):
                losses = []
                for seed in range(arguments.seeds):
                    network = critic(seed)
                    if start == "0.02":
                        network.apply(narrow_start)
                    losses.append(train(network, images, labels, rate, beta1, seed))
                print(f"| {rate:g} | {start} | {beta1} | {', '.join(f'{loss:.2f}' for loss in losses)} |", flush=True)


if __name__ == "__main__":
    main()
