"""Predict the patches of whole slides with a trained classifier, and write maps for QuPath and tables."""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from histoforge import __version__
from histoforge.classifiers.arms import load_classifier
from histoforge.core.digests import digest_json
from histoforge.core.errors import SettingsError, SlideError, SourceError
from histoforge.core.files import atomic_directory
from histoforge.core.progress import Progress, say
from histoforge.core.results import remove_work, work_beside
from histoforge.core.seals import write_sealed
from histoforge.ingest.fetching import fetched_slide
from histoforge.ingest.slide_list import SlideItem, list_unlabelled_slides
from histoforge.ingest.source import ReadLog, worker_count
from histoforge.prediction.cutting import cutting_of
from histoforge.prediction.finished import FinishedSlides
from histoforge.prediction.slide_prediction import Predictor
from histoforge.prediction.tables import SlideRecord, patient_table, slide_record, slide_table
from histoforge.slides import Slide
from histoforge.steps.predict_config import PredictConfig, PredictSummary
from histoforge.storage import open_location
from histoforge.storage.local import LocalLocation
from histoforge.training.device import resolve_device, resolve_precision

FILE_NAME, SCHEMA_VERSION = "predictions.json", 1


def run(config: PredictConfig, *, model: Path, predictions: Path) -> PredictSummary:
    """Predict all slides of a source, one after the other.

    A slide whose results are complete is kept in `<predictions>.work` until all slides are done, so that a killed
    command goes on after the last finished slide.

    Args:
        config: the settings.
        model: a classifier, or an arm (then its lowest seed).
        predictions: directory to write: `slides.csv`, `patients.csv`, `predictions.json`, and in `slides/<slide>/` the
            files `tiles.geojson`, `regions.geojson`, `patches.csv`, `heat_map.png` and `slide.json`.

    Raises:
        ModelError: the model is not a classifier, or does not record how its patches were cut.
        SettingsError: there is no source, or a setting contradicts what the model records.
        SourceError: the source has no slides, no slide has tissue, or too many fail.
    """
    began = time.monotonic()
    if not config.source:
        raise SettingsError("predict: give 'source' (folder, or s3:// or minio:// prefix, of the slides).")
    predictor = _predictor(config, model)
    location = open_location(config.source)
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        log = ReadLog(str(location), config.max_failed_slides, Path(temporary))
        entries = location.source_entries()
        listed = list_unlabelled_slides(config.labels, config.patient_pattern, location, entries, log)
        versions = {entry.name: entry.version for entry in entries}
        identities = {item: _identity(item, predictor, versions, config.slide_mpp) for item in listed.items}
        mirror = open_location(config.checkpoints) if config.checkpoints else None
        work = work_beside(predictions, ".work")
        finished = FinishedSlides(work, mirror and mirror.child(f"predict-{digest_json(sorted(identities.values()))}"))
        opened = partial(fetched_slide, location=location, temporary=log.temporary, slide_mpp=config.slide_mpp)
        if isinstance(location, LocalLocation):
            _check_resolutions(listed.items, opened)
        records, resumed = _predict_all(identities, opened, predictor, finished, log)
    patients = {item.name: item.patient for item in listed.items}
    result = _Result(predictor, records, patients, resumed, log)
    summary = result.summary(time.monotonic() - began)
    _write(predictions, work, config, result, summary)
    remove_work(work)
    finished.clear_mirror()
    for warning in summary.warnings:
        say(f"predict: warning: {warning}")
    return summary


@dataclass(frozen=True)
class _Result:
    """All slides.

    Attributes:
        predictor: what predicted them.
        records: the slides that could be read.
        patients: the patient of each slide, by name.
        resumed: number of slides that an earlier command had finished.
        log: failures and warnings.
    """

    predictor: Predictor
    records: list[SlideRecord]
    patients: dict[str, str]
    resumed: int
    log: ReadLog

    @property
    def classes(self) -> list[str]:
        return self.predictor.classifier.info.classes

    @property
    def by_slide(self) -> pd.DataFrame:
        return slide_table(self.records, self.patients, self.classes)

    @property
    def by_patient(self) -> pd.DataFrame:
        return patient_table(self.records, self.patients, self.classes)

    def summary(self, seconds: float) -> PredictSummary:
        predicted = self.by_slide["predicted"]
        return PredictSummary(
            model=self.predictor.classifier.name,
            slides=len(self.records),
            patients=len(self.by_patient),
            patches=sum(record.patches for record in self.records),
            predicted={name: sum(record.predicted[name] for record in self.records) for name in self.classes},
            slides_predicted={name: int((predicted == name).sum()) for name in self.classes},
            resumed=self.resumed,
            without_tissue=[record.slide for record in self.records if not record.patches],
            failed=self.log.failed,
            warnings=self.log.warnings,
            seconds=round(seconds, 2),
        )


def _write(path: Path, work: Path, config: PredictConfig, result: _Result, summary: PredictSummary) -> None:
    with atomic_directory(path) as directory:
        for record in result.records:
            shutil.copytree(work / record.slide, directory / "slides" / record.slide)
        result.by_slide.to_csv(directory / "slides.csv", index=False)
        result.by_patient.to_csv(directory / "patients.csv", index=False)
        description = {
            "code_version": __version__,
            "model": result.predictor.classifier.info.digest,
            "classes": result.classes,
            "cutting": asdict(result.predictor.cutting),
            "config": config.model_dump(mode="json"),
            "summary": summary.model_dump(mode="json"),
        }
        write_sealed(directory / FILE_NAME, description, SCHEMA_VERSION)


def _predictor(config: PredictConfig, model: Path) -> Predictor:
    device = resolve_device(config.device)
    classifier = load_classifier(model, device)
    cutting = cutting_of(
        classifier.info, mpp=config.mpp, stain=config.stain, stride=config.stride, min_tissue=config.min_tissue
    )
    dtype = resolve_precision(config.precision, device)
    return Predictor(classifier, cutting, device, dtype, config.batch_size, worker_count(config.workers))


def _identity(item: SlideItem, predictor: Predictor, versions: Mapping[str, str], slide_mpp: float) -> str:
    """Return the digest of everything that determines the predictions of a slide."""
    files = {name: versions[name] for name in (item.file, *item.companions)}
    return digest_json([predictor.identity, files, item.mpp, slide_mpp])


def _predict_all(
    identities: Mapping[SlideItem, str],
    opened: Callable[[SlideItem], AbstractContextManager[Slide]],
    predictor: Predictor,
    finished: FinishedSlides,
    log: ReadLog,
) -> tuple[list[SlideRecord], int]:
    """Return the records of all slides that could be read, and the number of those that were finished before.

    Raises:
        SourceError: a slide's resolution is unknown, too many slides fail, or none has enough tissue.
    """
    records, resumed = [], 0
    with Progress("predict", len(identities), "slides") as progress:
        for item, identity in identities.items():
            record = finished.find(item.name, identity)
            if record is not None:
                resumed += 1
                records.append(record)
            else:
                try:
                    with opened(item) as slide:
                        prediction = predictor.predict(_of_known_resolution(slide, item))
                except SlideError as error:
                    log.fail(item.file, error)
                else:
                    records.append(slide_record(prediction, item.name, item.file, identity))
                    finished.write(records[-1], prediction)
            progress.advance(slide=item.name, patches=sum(record.patches for record in records))
    if not records:
        raise SourceError(f"None of the slides in {log.source} can be read; the last one: {log.failed[-1].reason}")
    if not any(record.patches for record in records):
        raise SourceError(
            f"None of the slides in {log.source} has tissue for a patch: lower min_tissue, or give others."
        )
    return records, resumed


def _check_resolutions(
    items: Sequence[SlideItem], opened: Callable[[SlideItem], AbstractContextManager[Slide]]
) -> None:
    """Detect missing resolutions before hours are spent on other slides; only of local ones, which are not fetched.

    Raises:
        SourceError: a slide's resolution is unknown.
    """
    for item in items:
        with suppress(SlideError), opened(item) as slide:
            _of_known_resolution(slide, item)


def _of_known_resolution(slide: Slide, item: SlideItem) -> Slide:
    if slide.mpp is None:
        raise SourceError(f"The slide {item.file} does not state its resolution: give 'slide_mpp', in um/px.")
    return slide
