"""The step `import_generator`: pipelines of diffusers become generators like any other; refusals."""

import json
from pathlib import Path

import pytest
import torch
from command_line import call
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
)
from textures import CLASSES, write_stripes
from tiny_diffusers import save_ddpm

from histoforge.core.errors import ModelError, SettingsError, SourceError
from histoforge.generators.imported.fitted import FittedGenerator
from histoforge.generators.imported.kinds import InstalledGenerator
from histoforge.generators.loading import draw, load_generator
from histoforge.patches.device import to_uint8
from histoforge.steps.import_generator import run
from histoforge.steps.import_generator_config import ImportGeneratorConfig
from histoforge.training.model_files import ModelInfo

SIZE = 16


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("real") / "patches"
    write_stripes(path, (4, 4), (2, 2), (2, 2), size=SIZE)
    return path


def save_dit(path: Path) -> DiTPipeline:
    torch.manual_seed(0)
    transformer = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        sample_size=SIZE // 2,
        norm_num_groups=4,
    ).eval()
    torch.nn.init.normal_(transformer.proj_out_2.weight)  # starts at 0, which would hide the class
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    vae = AutoencoderKL(block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4, **blocks).eval()
    pipeline = DiTPipeline(transformer, vae, DDIMScheduler(num_train_timesteps=20))
    pipeline.save_pretrained(path)
    index = json.loads((path / "model_index.json").read_text())
    index["id2label"] = {"7": "Coarse, rough", "3": "thin"}
    (path / "model_index.json").write_text(json.dumps(index))
    return pipeline


def imported(source, real: Path, out: Path, **values):
    config = {"source": str(source), "device": "cpu", "source_mpp": 0.5, "steps": 3, **values}
    summary = run(ImportGeneratorConfig.make(config), patches=real, generator=out)
    return summary, load_generator(out, "cpu")


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_a_dit_draws_what_its_own_pipeline_draws(real, tmp_path, guidance):
    pipeline = save_dit(tmp_path / "dit")
    summary, generator = imported(tmp_path / "dit", real, tmp_path / "out", guidance=guidance, class_map="thin=fine")
    assert summary.classes == {"coarse": "Coarse", "fine": "thin"}
    assert (summary.kind, summary.image_size) == ("DiTPipeline", (SIZE, SIZE))
    pipeline.set_progress_bar_config(disable=True)
    rng = torch.Generator().manual_seed(5)
    expected = pipeline([3, 7], guidance, rng, num_inference_steps=3, output_type="np").images
    patches = generator.sample(torch.tensor([1, 0]), torch.Generator().manual_seed(5))
    torch.testing.assert_close(patches.permute(0, 2, 3, 1) / 2 + 0.5, torch.from_numpy(expected), atol=1e-5, rtol=0)
    assert summary.parameters == sum(
        p.numel() for part in (pipeline.transformer, pipeline.vae) for p in part.parameters()
    )


def test_one_unconditional_pipeline_per_class_draws_what_each_draws(real, tmp_path):
    pipelines = [save_ddpm(tmp_path / "in" / name, seed) for seed, name in enumerate(CLASSES)]
    summary, generator = imported(tmp_path / "in", real, tmp_path / "out")
    assert summary.classes == dict(zip(CLASSES, CLASSES, strict=True))
    patches = generator.sample(torch.tensor([1, 1]), torch.Generator().manual_seed(2))
    pipelines[1].set_progress_bar_config(disable=True)
    rng = torch.Generator().manual_seed(2)
    expected = pipelines[1](2, rng, num_inference_steps=3, output_type="np").images
    torch.testing.assert_close(patches.permute(0, 2, 3, 1) / 2 + 0.5, torch.from_numpy(expected), atol=1e-5, rtol=0)
    mixed = generator.sample(torch.tensor([1, 0, 1]), torch.Generator().manual_seed(2))
    assert mixed.shape == (3, 3, SIZE, SIZE)


def test_a_conditional_unet_without_names_is_mapped_by_number_and_larger_images_are_fitted(real, tmp_path):
    save_ddpm(tmp_path / "in", size=40, classes=3)
    settings = {"class_map": "2=coarse, 0=fine", "source_mpp": 0.25}
    summary, generator = imported(tmp_path / "in", real, tmp_path / "out", **settings)
    assert summary.classes == {"coarse": "2", "fine": "0"}
    assert (summary.image_size, summary.scale) == ((40, 40), 0.5)
    drawn = draw(generator, torch.tensor([0, 1, 1]).numpy(), seed=3)
    assert drawn.shape == (3, SIZE, SIZE, 3)
    again = load_generator(tmp_path / "out", "cpu")
    assert (draw(again, torch.tensor([0, 1, 1]).numpy(), seed=3) == drawn).all()
    patches = generator.sample(torch.tensor([0]), torch.Generator().manual_seed(0))
    torch.testing.assert_close(to_uint8(patches).float() / 127.5 - 1, patches.permute(0, 2, 3, 1))


def test_the_generator_has_the_digest_of_its_weights_and_states_its_origin(real, tmp_path):
    for seed, name in enumerate(CLASSES):
        save_ddpm(tmp_path / "in" / name, seed)
    (tmp_path / "in" / "origin.yaml").write_text("name: lab\norigin: lab 7\nlicence: CC0\n")
    first, generator = imported(tmp_path / "in", real, tmp_path / "first")
    assert generator.info.config["origin"] == {"name": "lab", "origin": "lab 7", "licence": "CC0"}
    assert first.warnings == []
    save_ddpm(tmp_path / "in" / "fine", seed=9)
    second, other = imported(tmp_path / "in", real, tmp_path / "second")
    assert generator.info.weights != other.info.weights
    assert first.digest != second.digest


def unsafe(folder: Path) -> str:
    save_ddpm(folder, classes=2, safe_serialization=False)
    return "has no diffusion_pytorch_model.safetensors, and weights in other files are not read"


def another_pipeline(folder: Path) -> str:
    save_ddpm(folder, classes=2)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": "StableDiffusionPipeline"}))
    return "is a StableDiffusionPipeline, and supported are DDPMPipeline"


def own_code(folder: Path) -> str:
    save_ddpm(folder, classes=2)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "unet": ["my_code", "UNet2DModel"]}))
    return "has no UNet2DModel of diffusers as 'unet'"


def no_classes(folder: Path) -> str:
    save_ddpm(folder)
    return "draws no classes: give a folder with one such pipeline for each class"


def cut_short(folder: Path) -> str:
    save_ddpm(folder, classes=2)
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    return "diffusion_pytorch_model.safetensors is missing or damaged"


def no_pipeline(folder: Path) -> str:
    folder.mkdir()
    (folder / "notes.txt").write_text("x")
    return "has no model_index.json, and none of its folders has"


def too_small(folder: Path) -> str:
    save_ddpm(folder, classes=2, size=8)
    return "has 8 x 8 px, less than a patch of 16 x 16"


def changed_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def no_scheduler(folder: Path) -> str:
    save_ddpm(folder, classes=2)
    changed_json(folder / "model_index.json", scheduler="DDPMScheduler")
    return "model_index.json names no scheduler: save the pipeline again"


def labels_in_a_list(folder: Path) -> str:
    save_ddpm(folder, classes=2)
    changed_json(folder / "model_index.json", id2label=["coarse", "fine"])
    return "model_index.json is damaged (a value has the wrong type)"


def network_that_cannot_be_built(folder: Path) -> str:
    save_ddpm(folder, classes=2)
    changed_json(folder / "unet" / "config.json", norm_num_groups=0)
    return "The unet cannot be built from its config.json (ZeroDivisionError: "


def scheduler_that_cannot_be_built(folder: Path) -> str:
    save_ddpm(folder, classes=2)
    changed_json(folder / "scheduler" / "scheduler_config.json", beta_schedule="steep")
    return "The scheduler cannot be built from its scheduler_config.json (NotImplementedError: steep"


def pipeline_that_cannot_draw(folder: Path) -> str:
    save_ddpm(folder, classes=2)
    changed_json(folder / "unet" / "config.json", sample_size=None)
    return "The generator 'in' cannot draw (TypeError: "


CASES = [
    unsafe,
    another_pipeline,
    own_code,
    no_classes,
    cut_short,
    no_pipeline,
    too_small,
    no_scheduler,
    labels_in_a_list,
    network_that_cannot_be_built,
    scheduler_that_cannot_be_built,
    pipeline_that_cannot_draw,
]


@pytest.mark.parametrize("make", CASES)
def test_what_cannot_be_used_is_refused_with_one_sentence(real, tmp_path, capsys, make):
    expected = make(tmp_path / "in")
    flags = ["--source", tmp_path / "in", "--patches", real, "--class-map", "0=coarse,1=fine", "--source-mpp", 0.5]
    done = call(capsys, "import-generator", *flags, "--steps", 2, "--device", "cpu", "--out", tmp_path / "out")
    assert done.code == 2
    assert expected in done.err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_missing_classes_sources_and_resolutions_are_asked_for(real, tmp_path):
    save_ddpm(tmp_path / "in", classes=2)
    with pytest.raises(ModelError, match=r"draws no class 'coarse': map one of its classes \(0, 1\)"):
        imported(tmp_path / "in", real, tmp_path / "out")
    with pytest.raises(SourceError, match="resolution of the images of .* is unknown"):
        imported(tmp_path / "in", real, tmp_path / "out", source_mpp=0, class_map="0=coarse,1=fine")
    with pytest.raises(SettingsError, match="needs a DiTPipeline"):
        imported(tmp_path / "in", real, tmp_path / "out", guidance=2, class_map="0=coarse,1=fine")
    with pytest.raises(SettingsError, match="nothing to import"):
        imported("", real, tmp_path / "out")
    with pytest.raises(SettingsError, match="No installed package has a generator 'tint': none is installed"):
        imported("", real, tmp_path / "out", entry_point="tint")


@pytest.mark.parametrize(
    ("sampler", "problem"),
    [
        (lambda labels, rng: 1 / 0, r"cannot draw \(ZeroDivisionError"),
        (lambda labels, rng: None, "not RGB or not finite"),
        (lambda labels, rng: torch.zeros(1, 3, SIZE, SIZE), "not RGB or not finite"),
        (lambda labels, rng: torch.zeros(len(labels), 3, SIZE, SIZE, dtype=torch.uint8), "not RGB or not finite"),
        (lambda labels, rng: torch.full((len(labels), 3, SIZE, SIZE), torch.nan), "not RGB or not finite"),
    ],
)
def test_a_package_that_draws_something_else_is_refused(sampler, problem):
    config = {"labels": [0, 1], "scale": 1.0, "fit": "crop", "origin": {"name": "tint"}}
    info = ModelInfo(
        kind="generator", method="installed", config=config, classes=CLASSES, patch_size=(SIZE, SIZE), training={}
    )
    generator = FittedGenerator(info, sampler, torch.device("cpu"))
    with pytest.raises(ModelError, match=f"The generator 'tint' .*{problem}"):
        generator.sample(torch.tensor([0, 1]), torch.Generator())


def test_a_package_that_does_not_load_is_named():
    entry = InstalledGenerator("tint", "histoforge.core.text:no_such_function", ("a",), (8, 8))
    with pytest.raises(ModelError, match="The package of the generator 'tint' cannot load it .*no_such_function"):
        entry.build({}, "cpu")


def test_a_model_directory_is_copied_with_its_digest_if_it_draws_such_patches(real, tmp_path):
    save_ddpm(tmp_path / "in", classes=2)
    _, first = imported(tmp_path / "in", real, tmp_path / "model", class_map="0=coarse, 1=fine", origin="a lab")
    summary, generator = imported(tmp_path / "model", real, tmp_path / "copy", licence="CC0-1.0")
    assert (summary.kind, summary.digest) == ("diffusers", first.info.digest)
    assert generator.info.digest == first.info.digest
    assert generator.info.origin == {"name": "in", "origin": "a lab", "licence": "CC0-1.0"}
    for path in (tmp_path / "model").iterdir():
        copied = (tmp_path / "copy" / path.name).read_bytes()
        assert copied == path.read_bytes() or path.name == "model.json"
    write_stripes(tmp_path / "larger", (4, 4), (2, 2), (2, 2), size=2 * SIZE)
    with pytest.raises(ModelError, match="draws patches of 16x16 px, and the patch set has 32x32 px"):
        imported(tmp_path / "model", tmp_path / "larger", tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
