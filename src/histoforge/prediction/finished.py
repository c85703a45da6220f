"""The results of finished slides, which a restarted command does not compute again."""

from pathlib import Path

import numpy as np
from pydantic import ValidationError

from histoforge.core.errors import HistoforgeError
from histoforge.core.files import atomic_directory
from histoforge.core.seals import read_sealed, write_sealed
from histoforge.prediction.geojson import region_features, tile_features, write_features
from histoforge.prediction.heat_map import write_heat_map
from histoforge.prediction.slide_prediction import SlidePrediction
from histoforge.prediction.tables import SlideRecord
from histoforge.storage import Location

RECORD_NAME, SCHEMA_VERSION, ADVICE = "slide.json", 1, "run 'histoforge predict' again"


class FinishedSlides:
    """One folder per slide below a work folder, optionally mirrored to a location for a retry on another machine."""

    def __init__(self, folder: Path, mirror: Location | None) -> None:
        self.folder, self._mirror = folder, mirror

    def find(self, slide: str, identity: str) -> SlideRecord | None:
        """Return the record of a finished slide, or None if there is no intact one with this identity."""
        record = self._read(slide)
        if (record is None or record.identity != identity) and self._fetch(slide):
            record = self._read(slide)
        return record if record is not None and record.identity == identity else None

    def write(self, record: SlideRecord, prediction: SlidePrediction) -> None:
        """Write the files of a slide; they appear together, once all are complete."""
        with atomic_directory(self.folder / record.slide) as folder:
            table = prediction.patches.assign(predicted=np.asarray(prediction.classes)[prediction.labels])
            for name, values in zip(prediction.classes, prediction.probabilities.T, strict=True):
                table[f"probability_{name}"] = values
            table.to_csv(folder / "patches.csv", index=False, float_format="%.6g")
            write_features(folder / "tiles.geojson", tile_features(prediction))
            write_features(folder / "regions.geojson", region_features(prediction))
            write_heat_map(folder / "heat_map.png", prediction, record.slide)
            write_sealed(folder / RECORD_NAME, record.model_dump(mode="json"), SCHEMA_VERSION)
        if self._mirror is not None:
            self._mirror.child(record.slide).put_tree(self.folder / record.slide, last=RECORD_NAME)

    def clear_mirror(self) -> None:
        """Delete the copies at the location, once the whole result is written."""
        if self._mirror is not None:
            for entry in self._mirror.entries():
                self._mirror.delete(entry.name)

    def _read(self, slide: str) -> SlideRecord | None:
        file = self.folder / slide / RECORD_NAME
        if not file.is_file():
            return None
        try:
            document = read_sealed(file, SCHEMA_VERSION, ADVICE)
            return SlideRecord.model_validate({name: document.get(name) for name in SlideRecord.model_fields})
        except (HistoforgeError, ValidationError):
            return None

    def _fetch(self, slide: str) -> bool:
        """Copy a slide's results from the mirror, and return whether it has them."""
        if self._mirror is None or self._mirror.child(slide).read(RECORD_NAME) is None:
            return False
        self._mirror.child(slide).get_tree(self.folder / slide)
        return True
