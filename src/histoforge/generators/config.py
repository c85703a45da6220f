"""Settings that the training of every generator has; imports nothing heavy."""

from pydantic import Field

from histoforge.core.settings import NodesConfig


class GeneratorConfig(NodesConfig):
    """Length of a generator's training, choice of its weights, and the location of its checkpoints."""

    epochs: int = Field(
        200, ge=1, description="number of passes over the training split", json_schema_extra={"unit": "epochs"}
    )
    epoch_steps: int = Field(
        0,
        ge=0,
        description="steps per epoch, so that the length does not depend on the amount of data (0: one pass)",
        json_schema_extra={"unit": "steps"},
    )
    max_steps: int = Field(
        0,
        ge=0,
        description="maximum number of steps of the whole training (0: no limit)",
        json_schema_extra={"unit": "steps"},
    )
    max_patches: int = Field(
        0,
        ge=0,
        description="maximum number of training patches, of all classes together, sampled by seed (0: all)",
        json_schema_extra={"unit": "patches"},
    )
    batch_size: int = Field(64, ge=2, description="patches per step", json_schema_extra={"unit": "patches"})
    flips: bool = Field(False, description="whether to flip real patches at random, horizontally and vertically")
    select_from_epoch: int = Field(
        1, ge=1, description="first epoch whose weights may be chosen by FID", json_schema_extra={"unit": "epochs"}
    )
    fid_every: int = Field(1, ge=1, description="epochs from one FID to the next", json_schema_extra={"unit": "epochs"})
    fid_samples: int = Field(
        0,
        ge=0,
        description="synthetic patches per FID (0: as many as training patches)",
        json_schema_extra={"unit": "patches"},
    )
    fid_alpha: float = Field(
        0.5, ge=0, lt=1, description="smoothing of the FID curve: the weight of the earlier epochs (alpha, eq. 5)"
    )

    @property
    def class_wise(self) -> bool:
        """True if one model per class is trained."""
        return False


class ClassWiseConfig(GeneratorConfig):
    """Settings of methods that use no labels and therefore train one model per class."""

    only_class: str = Field(
        "", description="the only class to train, if each class has its own task ('': all, one after the other)"
    )

    @property
    def class_wise(self) -> bool:
        """True if one model per class is trained."""
        return True
