"""Versions whose worth is a number, so that 'better' is certain, and publishers in processes of their own."""

import multiprocessing
import os
import signal
from pathlib import Path

from histoforge.core.digests import digest_json
from histoforge.models import ModelCard, ModelStore, Publication, PublishResult, Verdict
from histoforge.models.card import CardScore
from histoforge.models.versions import file_digests, pack
from histoforge.storage import Location, open_location

NAME = "tumour"
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["histoforge.models", "histoforge.storage.s3"])


def make_card(model: str, worth: float) -> ModelCard:
    return ModelCard(
        name=NAME, kind="classifier", form="arm", arm="baseline", method="resnet10", seeds=[0], classes=["a", "b"],
        patch_size=(16, 16), mpp=0.5, model=model, digests={"patches": "ab" * 32}, unit="patients", patches={},
        units={}, confidence=0.95, scores={"accuracy": CardScore(value=worth, low=None, high=None)},
        licences={"model": "not stated"}, intended_use="Tests.", limits=[], code_version="1",
    )  # fmt: skip


def make_version(folder: Path, worth: float) -> tuple[Path, ModelCard]:
    """A packed version of two files, worth `worth`, and its card."""
    model = folder / "model"
    (model / "seed-0").mkdir(parents=True)
    (model / "arm.json").write_text("{}\n")
    (model / "seed-0" / "weights").write_bytes(repr(worth).encode() * 500)
    card = make_card(digest_json(file_digests(model)), worth)
    return pack(model, card, folder / "version"), card


def worth_of(registry: ModelStore, version: str) -> float:
    return float(registry.card(version).scores["accuracy"].value or 0)


def publish(registry: ModelStore, folder: Path, worth: float) -> PublishResult:
    """Publish a version that replaces any of lower worth."""
    packed, card = make_version(folder, worth)

    def judge(version: str, champion: Publication | None) -> Verdict:
        if champion is None:
            return Verdict(True, "it is the first")
        mine = worth if registry.place.read(f"{version}/version.json") is None else worth_of(registry, version)
        theirs = worth_of(registry, champion.version)
        return Verdict(mine > theirs, f"{mine} is {'more' if mine > theirs else 'no more'} than {theirs}")

    return registry.publish(packed, card, judge)


class Deadly:
    """A location whose process is killed at its n-th operation: before it, or after."""

    def __init__(self, inner: Location, left: list[str], after: bool) -> None:
        self._inner, self._left, self._after = inner, left, after

    def __str__(self) -> str:
        return str(self._inner)

    def child(self, name: str) -> "Deadly":
        return Deadly(self._inner.child(name), self._left, self._after)

    def __getattr__(self, name: str):
        operation = getattr(self._inner, name)

        def counted(*arguments, **options):
            last = self._left.pop() == "last"
            if last and not self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = operation(*arguments, **options)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counted


def publish_in_process(
    environment: dict[str, str], models: str, folder: Path, worth: float, barrier, deadly: tuple[int, bool] | None
) -> None:
    os.environ.update(environment)
    location = open_location(models)
    if deadly:
        location = Deadly(location, ["after"] * 500 + ["last"] + ["before"] * (deadly[0] - 1), deadly[1])  # type: ignore[assignment]
    if barrier is not None:
        barrier.wait(30)
    outcome = publish(ModelStore(location, NAME), folder, worth)
    (folder / "outcome").write_text(f"{outcome.published} {outcome.version}")


def start(models: str, folder: Path, worth: float, barrier=None, deadly: tuple[int, bool] | None = None):
    """A process that publishes; `deadly` is the operation that kills it, and whether after that."""
    folder.mkdir(parents=True)
    process = CONTEXT.Process(
        target=publish_in_process, args=(dict(os.environ), models, folder, worth, barrier, deadly)
    )
    process.start()
    return process


def check_whole(registry: ModelStore, folder: Path) -> Publication:
    """Everything that the pointer and the history name is there and whole; returns the champion."""
    history = registry.history()
    versions = registry.versions()
    for publication in history:
        assert publication.version in versions
    champion = registry.champion()
    assert champion is not None
    assert champion == history[-1]
    pointed = registry.place.read("champion.json")
    assert pointed is not None
    assert Publication.model_validate_json(pointed[0]).version in versions
    for number, version in enumerate(versions):
        assert (registry.fetch(version, folder / str(number)) / "arm.json").is_file()
    return champion
