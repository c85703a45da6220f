import pytest

from histoforge.core.errors import SettingsError
from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.geometry import Geometry


@pytest.mark.parametrize(
    ("patch_size", "settings", "base", "sizes"),
    [
        ((96, 96), {}, (3, 3), ((48, 48), (96, 96))),  # PCam: two stages (section 4.2.1)
        ((256, 128), {}, (4, 2), ((64, 32), (128, 64), (256, 128))),  # cervical: three stages
        ((96, 96), {"up_blocks": 3}, (3, 3), ((24, 24), (48, 48), (96, 96))),
        ((48, 48), {"up_blocks": 3}, (3, 3), ((24, 24), (48, 48))),
        ((64, 64), {}, (4, 4), ((64, 64),)),
        ((32, 32), {"stages": 2}, (1, 1), ((16, 16), (32, 32))),
        ((224, 224), {"up_blocks": 3}, (7, 7), ((56, 56), (112, 112), (224, 224))),
    ],
)
def test_stages_and_base_map_follow_from_the_patch_size(patch_size, settings, base, sizes):
    geometry = Geometry.of(HistoganConfig.make(settings), patch_size)
    assert (geometry.base, geometry.sizes) == (base, sizes)


def test_an_unsupported_size_names_the_nearest_supported_one():
    with pytest.raises(SettingsError, match=r"100x90 px.* multiples of 32.* 96x64 or 128x96 px"):
        Geometry.of(HistoganConfig.make({"stages": 2}), (100, 90))
