"""The backbones by name. Imports nothing heavy: `--help` is built from this table."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from histoforge.core.errors import SettingsError
from histoforge.core.registry import Registry
from histoforge.core.text import dimensions

if TYPE_CHECKING:
    from histoforge.classifiers.backbones.base import Backbone

Stem = Literal["imagenet", "small"]
StemChoice = Literal["auto", "imagenet", "small"]
SMALL_BELOW_PX = 64
MODEL_PLACEHOLDER = ":NAME"


@dataclass(frozen=True)
class BackboneEntry:
    """A network that can be the backbone of a classifier.

    Attributes:
        name: its name in the settings and in `model.json`. 'x:NAME' stands for all names that begin with 'x:'.
        module: the module with `build(name, patch_size, stem, width) -> Backbone`.
        minimum_size: smallest height and width of a patch, px.
        size_multiple: the height and width of a patch are multiples of it, px.
        has_small_stem: True if it can begin with the stem 'small'.
        has_width: True if a factor can scale its numbers of channels.
        settings: parameters of `train_classifier` that `build` takes in addition, by keyword; `model.json` records
            them in `config`.
        pools_tiles: True if it weighs tiles of a patch, and is a `TilePooling`.
    """

    name: str
    module: str
    minimum_size: int = 1
    size_multiple: int = 1
    has_small_stem: bool = False
    has_width: bool = True
    settings: tuple[str, ...] = ()
    pools_tiles: bool = False

    def build(self, name: str, patch_size: tuple[int, int], config: Mapping[str, Any]) -> "Backbone":
        """Build the network with random weights. This imports torch.

        Args:
            name: its full name; it differs from `self.name` only for 'x:NAME'.
            patch_size: height and width of its input, px.
            config: the settings of the model: stem ('imagenet' or 'small'), width, and those in `self.settings`.

        Raises:
            SettingsError: the network does not exist in this form.
        """
        self.check(name, patch_size, config["width"])
        settings = {key: config[key] for key in ("stem", "width", *self.settings)}
        backbone: Backbone = import_module(self.module).build(name, patch_size, **settings)
        return backbone

    def fits(self, size: tuple[int, int]) -> bool:
        """Return whether it can process images of a height and width, px."""
        return min(size) >= self.minimum_size and not any(side % self.size_multiple for side in size)

    @property
    def required_size(self) -> str:
        """The heights and widths that it can process, in words."""
        multiple = f" and multiples of {self.size_multiple} px" if self.size_multiple > 1 else ""
        return f"at least {self.minimum_size} px{multiple}"

    def check(self, name: str, patch_size: tuple[int, int], width: float) -> None:
        """Check the patch size and the width, before anything is built.

        Raises:
            SettingsError: the backbone cannot process such patches, or has a fixed width.
        """
        if not self.fits(patch_size):
            raise SettingsError(
                f"The backbone '{name}' needs images whose height and width are {self.required_size}, and they have "
                f"{dimensions(patch_size)} px: choose another backbone, set input_size to resize them for it, or "
                "preprocess again with another patch_size."
            )
        if width != 1 and not self.has_width:
            raise SettingsError(
                f"The backbone '{name}' has a fixed number of channels, and width is {width:g}: set width=1, or choose "
                "a smaller backbone."
            )

    def resolve_stem(self, stem: StemChoice, patch_size: tuple[int, int], pretrained: bool) -> Stem:
        """Resolve the stem 'auto'.

        'imagenet' stands for the published first layers. In a ResNet they are a 7x7 convolution of stride 2 and a 3x3
        max pooling of stride 2, and the last stage has 1/32 of the height and width of a patch. 'small' (3x3
        convolution of stride 1, no pooling) leaves 1/8 at 16 times the computation. 'auto' is 'small' for patches of
        less than 64 px, of which 'imagenet' would leave only one or two positions. It is 'imagenet' for other patches,
        for pretrained weights, which were made for it, and for backbones without the choice.

        Args:
            stem: the setting.
            patch_size: height and width, px.
            pretrained: whether initial weights are given.

        Raises:
            SettingsError: the backbone has no stem 'small'.
        """
        if stem == "small" and not self.has_small_stem:
            raise SettingsError(f"The backbone '{self.name}' has no stem 'small': set stem=auto, or choose a ResNet.")
        if stem == "auto":
            small = self.has_small_stem and min(patch_size) < SMALL_BELOW_PX and not pretrained
            return "small" if small else "imagenet"
        return stem


_PACKAGE = "histoforge.classifiers.backbones"
_RESNETS = ("resnet10", "resnet18", "resnet34", "resnet50", "resnet50_cbam", "resnet101", "resnet152")
_DENSENETS = ("densenet121", "densenet169")
_VISION_TRANSFORMERS = ("vit_ti_16", "vit_s_16", "vit_b_16", "vit_l_16")

BACKBONES: Registry[BackboneEntry] = Registry(
    "backbone",
    (
        *(BackboneEntry(name, f"{_PACKAGE}.resnet", has_small_stem=True) for name in _RESNETS),
        *(BackboneEntry(name, f"{_PACKAGE}.densenet", minimum_size=32) for name in _DENSENETS),
        BackboneEntry("convnext_tiny", f"{_PACKAGE}.convnext", minimum_size=32),
        BackboneEntry("conv4", f"{_PACKAGE}.conv4", minimum_size=16),
        *(
            BackboneEntry(name, f"{_PACKAGE}.vision_transformer", minimum_size=16, size_multiple=16)
            for name in _VISION_TRANSFORMERS
        ),
        *(
            BackboneEntry(
                f"multiscale_vit_{step}", f"{_PACKAGE}.multiscale_vit", minimum_size=8 * step, size_multiple=8 * step
            )
            for step in (2, 4)
        ),
        BackboneEntry(
            "admil",
            f"{_PACKAGE}.admil",
            settings=("tile_size", "tile_overlap", "tile_backbone", "tile_tissue", "attention_branches"),
            pools_tiles=True,
        ),
        BackboneEntry("encoder", "histoforge.classifiers.encoders.network", has_width=False, settings=("encoder",)),
        BackboneEntry(f"timm{MODEL_PLACEHOLDER}", f"{_PACKAGE}.timm_models", has_width=False),
    ),
    group="histoforge.encoders",
)


def input_size(patch_size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the height and width of a network's input, px: `side` twice, or those of a patch if it is 0."""
    return (side, side) if side else patch_size


def find_backbone(name: str) -> BackboneEntry:
    """Return the entry of a backbone, such as 'resnet34' or 'timm:vit_tiny_patch16_224'.

    Raises:
        SettingsError: there is none of this name; the message suggests the nearest name.
    """
    prefix, _, model = name.partition(":")
    family = f"{prefix}{MODEL_PLACEHOLDER}"
    return BACKBONES.named(family if model and family in BACKBONES else name)
