"""Versions whose worth is a known number, and publishers that run as separate processes."""

import os
import signal
from pathlib import Path

from processes import CONTEXT

from histoforge.core.digests import digest_json
from histoforge.models import ModelCard, ModelStore, Publication, PublishResult, Verdict
from histoforge.models.card import CardScore
from histoforge.models.versions import file_digests, pack
from histoforge.storage import Location, open_location

NAME = "tumour"


def make_card(model: str, worth: float) -> ModelCard:
    return ModelCard(
        name=NAME,
        kind="classifier",
        form="arm",
        arm="baseline",
        method="resnet10",
        seeds=[0],
        classes=["a", "b"],
        patch_size=(16, 16),
        mpp=0.5,
        model=model,
        digests={"patches": "ab" * 32},
        unit="patients",
        patches={},
        units={},
        confidence=0.95,
        scores={"accuracy": CardScore(value=worth, low=None, high=None)},
        licences={"model": "not stated"},
        intended_use="Tests.",
        limits=[],
        code_version="1",
    )


def make_version(folder: Path, worth: float, content: str = "") -> tuple[Path, ModelCard]:
    """Return a packed version of two files, worth `worth`, and its card."""
    model = folder / "model"
    (model / "seed-0").mkdir(parents=True)
    (model / "arm.json").write_text("{}\n")
    (model / "seed-0" / "weights").write_bytes(f"{worth!r}{content}".encode() * 500)
    card = make_card(digest_json(file_digests(model)), worth)
    return pack(model, card, folder / "version"), card


def worth_of(store: ModelStore, version: str) -> float:
    return float(store.card(version).scores["accuracy"].value or 0)


def publish(store: ModelStore, folder: Path, worth: float, content: str = "") -> PublishResult:
    """Publish a version, which replaces any of lower worth."""
    packed, card = make_version(folder, worth, content)

    def gate(version: str, champion: Publication | None) -> Verdict:
        if champion is None:
            return Verdict(True, "it is the first")
        new = worth if store.location.read(f"{version}/version.json") is None else worth_of(store, version)
        old = worth_of(store, champion.version)
        return Verdict(new > old, f"{new} is {'more' if new > old else 'no more'} than {old}")

    return store.publish(packed, card, gate)


class KilledLocation:
    """A location that kills its process at its n-th operation: before it, or after."""

    def __init__(self, inner: Location, left: list[str], after: bool) -> None:
        self._inner, self._left, self._after = inner, left, after

    def __str__(self) -> str:
        return str(self._inner)

    def child(self, name: str) -> "KilledLocation":
        return KilledLocation(self._inner.child(name), self._left, self._after)

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
    environment: dict[str, str], models: str, folder: Path, worth: float, barrier, kill_at: tuple[int, bool] | None
) -> None:
    os.environ.update(environment)
    location = open_location(models)
    if kill_at:
        location = KilledLocation(location, ["after"] * 500 + ["last"] + ["before"] * (kill_at[0] - 1), kill_at[1])
    if barrier is not None:
        barrier.wait(30)
    result = publish(ModelStore(location, NAME), folder, worth)
    (folder / "result").write_text(f"{result.published} {result.version}")


def start(models: str, folder: Path, worth: float, barrier=None, kill_at: tuple[int, bool] | None = None):
    """Start a process that publishes; `kill_at` is the operation that kills it, and True to kill it afterwards."""
    folder.mkdir(parents=True)
    process = CONTEXT.Process(
        target=publish_in_process, args=(dict(os.environ), models, folder, worth, barrier, kill_at)
    )
    process.start()
    return process


def check_complete(store: ModelStore, folder: Path) -> Publication:
    """Check that every version that the pointer and the history name is complete; return the champion."""
    history = store.history()
    versions = store.versions()
    for publication in history:
        assert publication.version in versions
    champion = store.champion()
    assert champion is not None
    assert champion == history[-1]
    pointed = store.location.read("champion.json")
    assert pointed is not None
    assert Publication.model_validate_json(pointed[0]).version in versions
    for number, version in enumerate(versions):
        assert (store.fetch(version, folder / str(number)) / "arm.json").is_file()
    return champion
