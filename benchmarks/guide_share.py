"""Measure what RL-EO loses when its guide sees only some of the fakes: gradient noise and generator quality.

    histoforge preprocess --source oral224 --out prep --preset quickstart --patch-size 32 --max-patches-per-class 1500
    histoforge finetune-snn --patches prep/patches --overviews prep/overviews --out guide --preset quickstart
    histoforge train-classifier --patches prep/patches --out arm --preset quickstart --set max_steps=150
    python benchmarks/guide_share.py --patches prep/patches --guide guide --arm arm

Trains `rleo` with each share at equal seeds on the patches of the first class, and prints the Frechet distance of its
patches to the training patches by the features of each classifier of the arm. The noise is the root mean square of the
difference between the gradient of the reward estimated from some fakes and the one from all, over the norm of the
latter, for the discriminator's weights; drawn several times in a training that scores all of them.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from timing import surroundings
from torch import Tensor

from histoforge.classifiers.arms import load_arm
from histoforge.generators.dcgan.objective import DiscriminatorStep
from histoforge.generators.loading import draw
from histoforge.generators.rleo import objective as rleo_objective
from histoforge.generators.rleo import train as rleo
from histoforge.generators.rleo.config import RleoConfig
from histoforge.generators.rleo.reward import estimate_all
from histoforge.metrics.extract import extract_features
from histoforge.metrics.frechet import frechet_distance
from histoforge.patches import PatchSet
from histoforge.siamese.guide import load_guide
from histoforge.training.device import resolve_precision
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo

NOISE_EVERY = 25
NOISE_DRAWS = 8
QUICKSTART = {
    "generator_maps": 32,
    "discriminator_maps": 32,
    "batch_size": 32,
    "epochs": 1,
    "learning_rate": 1e-3,
    "ema_decay": 0.99,
    "checkpoint_every": 0,
    "device": "cpu",
}


class NoisyTerm(rleo_objective.RewardTerm):
    """The reward's term, extended to record how noisy its gradient would be at another share."""

    share = 0.2
    noise: ClassVar[list[float]] = []

    def measure(self, logits: Tensor, similarities: Tensor, parameters: list[torch.nn.Parameter]) -> None:
        """Compare the gradient from all fakes with those from random subsets of them."""

        def gradient(values: Tensor) -> Tensor:
            term = self(logits, values)
            return torch.cat([g.flatten() for g in torch.autograd.grad(term, parameters, retain_graph=True)])

        count, known = len(similarities), max(2, round(self.share * len(similarities)))
        whole, squares = gradient(similarities), []
        for _ in range(NOISE_DRAWS):
            order = torch.randperm(count)
            values = torch.empty_like(similarities)
            values[order] = estimate_all(similarities[order[:known]], count)
            squares.append(float((gradient(values) - whole).square().sum()))
        self.noise.append((statistics.fmean(squares) ** 0.5) / float(whole.norm()))


class NoisyObjective(rleo_objective.RewardedCrossEntropy):
    """RL-EO's losses, extended to measure the noise from time to time."""

    def discriminator(self, step: DiscriminatorStep) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the method's own losses; measure the noise from time to time."""
        if self.steps % NOISE_EVERY == 0 and self.guide_share == 1:
            term = NoisyTerm(self.term.mode, self.term.weight, self.term.rng)
            term.measure(step.fake_scores, self._similarities(step), list(step.discriminator.parameters()))
        return super().discriminator(step)


def main() -> None:
    """Train, score and print one row per seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=Path)
    parser.add_argument("--guide", type=Path)
    parser.add_argument("--arm", type=Path)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.2, 1.0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--reward", default="policy")
    arguments = parser.parse_args()
    if None in (arguments.patches, arguments.guide, arguments.arm):
        print("Name --patches, --guide and --arm; the first lines of --help have the commands that make them.")
        return
    rleo.RewardedCrossEntropy = NoisyObjective
    device = torch.device("cpu")
    data = PatchSet.open(arguments.patches).split("train").of_class(0)
    guide = load_guide(arguments.guide, device, resolve_precision("auto", device))
    classifiers = load_arm(arguments.arm, device)
    real = [extract_features(classifier, data, device) for classifier in classifiers]
    print(surroundings(["torch"]), f"; {len(data)} training patches, reward {arguments.reward}")
    print(f"| seed | share | {' | '.join(classifier.name for classifier in classifiers)} | s |")
    print("| --- " * (3 + len(classifiers)) + "|")
    distances: dict[float, list[list[float]]] = {share: [] for share in arguments.shares}
    for seed in range(arguments.seeds):
        for share in arguments.shares:
            config = RleoConfig.make(
                {**QUICKSTART, "epoch_steps": arguments.steps, "guide_share": share, "reward": arguments.reward}
            )
            info = ModelInfo(
                kind="generator",
                method="rleo",
                config=config.model_dump(),
                classes=data.classes[:1],
                patch_size=data.patch_size,
            )
            began = time.perf_counter()
            with tempfile.TemporaryDirectory() as work:
                engine = Engine(Path(work), {}, device="cpu", seed=seed, checkpoint_every=0, label="rleo")
                result = rleo.train(config, data, engine, None, info, guide)
            seconds = time.perf_counter() - began
            samples = draw(result.generator, np.zeros(arguments.samples, np.int64), seed)
            row = [
                frechet_distance(features, extract_features(classifier, samples, device))
                for classifier, features in zip(classifiers, real, strict=True)
            ]
            distances[share].append(row)
            print(f"| {seed} | {share} | {' | '.join(f'{value:.1f}' for value in row)} | {seconds:.0f} |", flush=True)
    first, last = (np.array(distances[share]) for share in (arguments.shares[0], arguments.shares[-1]))
    difference = last - first
    print(f"\nmeans: {first.mean(0).round(2)} and {last.mean(0).round(2)}")
    error = difference.std(0, ddof=1) / len(difference) ** 0.5
    print(f"mean difference by classifier: {difference.mean(0).round(2)}, standard error {error.round(2)}")
    if NoisyTerm.noise:
        print(
            f"noise of the gradient at a share of {NoisyTerm.share}: {statistics.median(NoisyTerm.noise):.0%} (median)"
        )


if __name__ == "__main__":
    main()
