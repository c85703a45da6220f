"""The kind of a source is detected from the names of its files."""

import pytest

from histoforge.core.errors import SettingsError, SourceError
from histoforge.ingest.opening import detect_kind
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.storage import Entry, open_location


@pytest.mark.parametrize(
    ("names", "labels", "kind"),
    [
        (["a.svs", "b.svs"], "", "slides"),
        (["a.tiff", "b.tif"], "", "slides"),
        (["deep/a.tif", "deep/a.geojson"], "", "slides"),
        (["benign/a.tif", "malignant/b.tif"], "", "images"),
        (["benign/a.jpg", "thumbnails.png"], "", "images"),
        (["a.svs", "thumbnails/a.png"], "", "slides"),
        (["benign/a.tif", "slides.csv"], "", "slides"),
        (["a.tif", "labels.csv"], "", "images"),
        (["a.tif"], "elsewhere/labels.csv", "images"),
        (["pcam/camelyonpatch_level_2_split_train_x.h5"], "", "pcam"),
    ],
)
def test_kind(names: list[str], labels: str, kind: str) -> None:
    assert detect_kind([Entry(name, 1, "1") for name in names], open_location("somewhere"), labels) == kind


def test_nothing_to_read() -> None:
    with pytest.raises(SourceError, match="no slides and no images in somewhere"):
        detect_kind([Entry("notes.txt", 1, "1")], open_location("somewhere"))


def test_sizes_and_ratios_in_all_their_forms() -> None:
    for given, size in ((96, (96, 96)), (96.0, (96, 96)), ("256x128", (256, 128)), ([256, 128], (256, 128))):
        assert PreprocessConfig.make({"source": "x", "patch_size": given}).size == size
    assert PreprocessConfig.make({"source": "x", "split_ratios": "8:0:2"}).ratios == (0.8, 0.0, 0.2)
    for wrong in ({"patch_size": "96by96"}, {"patch_size": 4}, {"split_ratios": "0:0:0"}, {"kind": "movies"}):
        with pytest.raises(SettingsError):
            PreprocessConfig.make({"source": "x", **wrong})
