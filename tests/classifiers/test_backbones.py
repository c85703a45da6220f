"""The families of backbones: the published arithmetic, cut in two, with published weights and patches of all sizes."""

import re

import pytest
import timm
import torch
import torchvision
from torch.testing import assert_close
from torchvision.models.vision_transformer import interpolate_embeddings
from torchvision.transforms.functional import resize

from histoforge.classifiers.backbones.registry import BACKBONES, find_backbone
from histoforge.classifiers.freezing import freeze_all_but
from histoforge.classifiers.network import Classifier
from histoforge.classifiers.weights import load_backbone
from histoforge.core.errors import ModelError, SettingsError
from histoforge.layers.cbam import CBAM
from histoforge.training.model_files import ModelInfo

TIMM = ("timm:test_resnet", "timm:test_vit", "timm:test_efficientnet", "timm:test_convnext", "timm:vgg11")
FAMILIES = (
    "resnet10",
    "resnet50_cbam",
    "densenet121",
    "convnext_tiny",
    "conv4",
    "vit_b_16",
    "multiscale_vit_4",
    "admil",
    *TIMM,
)
PLAIN = {"stem": "imagenet", "width": 1.0}
TILES = {"tile_size": 32, "tile_overlap": 0, "tile_backbone": "conv4", "tile_tissue": 0, "attention_branches": 1}
MAPS = {
    "resnet10": (3, 3),
    "resnet50_cbam": (3, 15),
    "densenet121": (3, 57),
    "convnext_tiny": (3, 17),
    "vit_b_16": (3, 11),
    "conv4": (3, 3),
    "multiscale_vit_4": (3, 3),
    "admil": (4, 4),
    "timm:test_resnet": (3, 4),
    "timm:test_vit": (3, 5),
    "timm:test_efficientnet": (3, 4),
    "timm:test_convnext": (3, 3),
    "timm:vgg11": (3, 5),
}
"""Number of activations before the dropout, with 'stages' and with 'blocks'."""


def make(name, size=(64, 64), normalisation=False, **config):
    torch.manual_seed(0)
    width = 1.0 if name.startswith("timm:") else 0.125
    settings = {"stem": "imagenet", "width": width, "dropout": 0.5, "imagenet_normalisation": normalisation, **TILES}
    info = ModelInfo(
        kind="classifier", method=name, config={**settings, **config}, classes=["a", "b", "c"], patch_size=size
    )
    return Classifier(info).eval()


def images(count=3, size=(64, 64)):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "densenet169", "convnext_tiny", "vit_b_16"])
def test_with_torchvisions_weights_the_network_is_torchvisions(name):
    torch.manual_seed(1)
    size = {"image_size": 64} if name == "vit_b_16" else {}
    published = getattr(torchvision.models, name)(num_classes=3, **size).eval()
    classifier = make(name, normalisation=True, width=1.0)
    load_backbone(classifier.backbone, published.state_dict(), "torchvision")
    *_, last = [module for module in published.modules() if isinstance(module, torch.nn.Linear)]
    classifier.fc.load_state_dict(last.state_dict())
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.inference_mode():
        assert_close(classifier(images()), published(normalise((images() + 1) / 2)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", TIMM)
def test_with_timms_weights_the_network_is_timms(name):
    torch.manual_seed(1)
    model = name.removeprefix("timm:")
    size = {"img_size": 64} if "vit" in model else {}
    published = timm.create_model(model, pretrained=False, num_classes=3, **size).eval()
    classifier = make(name, normalisation=True)
    load_backbone(classifier.backbone, published.state_dict(), "timm")
    classifier.fc.load_state_dict(published.get_classifier().state_dict())
    mean, std = (published.pretrained_cfg[key] for key in ("mean", "std"))
    with torch.inference_mode():
        expected = published(torchvision.transforms.Normalize(mean, std)((images() + 1) / 2))
        assert_close(classifier(images()), expected, rtol=1e-3, atol=1e-4)


def gates_set_to(network, logit):
    """Set both gates of every attention module to sigmoid(logit) everywhere."""
    for module in network.modules():
        if isinstance(module, CBAM):
            torch.nn.init.zeros_(module.mlp[2].weight)
            torch.nn.init.constant_(module.mlp[2].bias, logit / 2)  # added twice
            torch.nn.init.zeros_(module.norm.weight)
            torch.nn.init.constant_(module.norm.bias, logit)


def test_with_open_gates_a_resnet_with_attention_is_torchvisions():
    torch.manual_seed(1)
    published = torchvision.models.resnet50(num_classes=3).eval()
    classifier = make("resnet50_cbam", normalisation=True, width=1.0)
    gates_set_to(classifier, 100.0)
    weights = {**classifier.backbone.state_dict(), **published.state_dict()}
    load_backbone(classifier.backbone, weights, "torchvision")
    classifier.fc.load_state_dict(published.fc.state_dict())
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.inference_mode():
        assert_close(classifier(images()), published(normalise((images() + 1) / 2)), rtol=1e-3, atol=1e-4)


def test_attention_lies_on_the_residual_branch_of_each_block():
    block = make("resnet50_cbam").backbone.layer2[1]
    gates_set_to(block, -100.0)
    hidden = torch.randn(2, block.conv1.in_channels, 4, 4)
    assert_close(block(hidden), hidden.relu())


@pytest.mark.parametrize(
    ("name", "millions"),
    [("resnet50", 25.56), ("resnet50_cbam", 28.09), ("densenet121", 7.98), ("densenet169", 14.15)],
)
def test_networks_have_the_published_numbers_of_parameters(name, millions):
    """Woo et al. 2018, Table 4, for the ResNets; torchvision's documentation for the DenseNets."""
    backbone = find_backbone(name).build(name, (224, 224), PLAIN)
    head = 1000 * (backbone.channels + 1)
    assert round((sum(p.numel() for p in backbone.parameters()) + head) / 1e6, 2) == millions


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("vit_ti_16", 5_717_416),
        ("vit_s_16", 22_050_664),
        ("vit_b_16", torchvision.models.ViT_B_16_Weights.IMAGENET1K_V1.meta["num_params"]),
        ("vit_l_16", torchvision.models.ViT_L_16_Weights.IMAGENET1K_V1.meta["num_params"]),
    ],
)
def test_vision_transformers_have_the_published_numbers_of_parameters(name, count):
    """Those of torchvision's weights; for Ti and S, of timm's vit_tiny_patch16_224 and vit_small_patch16_224."""
    with torch.device("meta"):
        backbone = find_backbone(name).build(name, (224, 224), PLAIN)
        if name in ("vit_ti_16", "vit_s_16"):
            model = {"vit_ti_16": "vit_tiny_patch16_224", "vit_s_16": "vit_small_patch16_224"}[name]
            assert sum(p.numel() for p in timm.create_model(model).parameters()) == count
    assert sum(p.numel() for p in backbone.parameters()) + 1000 * (backbone.channels + 1) == count


def test_the_large_vision_transformer_has_torchvisions_parameters():
    with torch.device("meta"):
        published = torchvision.models.vit_l_16(image_size=64)
        backbone = find_backbone("vit_l_16").build("vit_l_16", (64, 64), PLAIN)
    shapes = {name: tensor.shape for name, tensor in published.state_dict().items() if not name.startswith("heads")}
    assert {name: tensor.shape for name, tensor in backbone.state_dict().items()} == shapes
    assert len(backbone.stages) == 4
    assert {len(stage) for stage in backbone.stages} == {6}


def test_images_are_resized_to_the_input_of_the_network():
    classifier = make("vit_b_16", (40, 50), width=0.125, input_size=32)
    plain = make("vit_b_16", (32, 32), width=0.125)
    plain.load_state_dict(classifier.state_dict())
    large = images(2, (40, 50))
    resized = resize(large, [32, 32], antialias=True)
    with torch.inference_mode():
        assert_close(classifier(large), plain(resized))


def test_a_size_to_resize_to_that_does_not_fit_is_refused():
    with pytest.raises(SettingsError, match="multiples of 16 px, and they have 40x40 px.*set input_size"):
        make("vit_b_16", (64, 64), input_size=40)


def test_the_names_in_the_published_weights_of_cbam_fit():
    backbone = make("resnet50_cbam").backbone
    renamed = {
        "cbam.mlp.0": "cbam.ChannelGate.mlp.1",
        "cbam.mlp.2": "cbam.ChannelGate.mlp.3",
        "cbam.conv": "cbam.SpatialGate.spatial.conv",
        "cbam.norm": "cbam.SpatialGate.spatial.bn",
    }
    published = {}
    pattern = re.compile("|".join(map(re.escape, renamed)))
    for name, tensor in backbone.state_dict().items():
        published["module." + pattern.sub(lambda match: renamed[match[0]], name)] = tensor + 1
    assert "module.layer1.0.cbam.ChannelGate.mlp.1.weight" in published
    load_backbone(backbone, published, "RESNET50_CBAM_new_name_wrap.pth")
    assert torch.equal(backbone.layer1[0].cbam.norm.weight, torch.ones(1))
    assert torch.equal(backbone.layer4[2].bn3.weight, torch.full([256], 2.0))


@pytest.mark.parametrize("name", FAMILIES)
def test_trunk_and_tail_give_maps_of_stages_and_of_blocks(name):
    size = (64, 96)
    classifier = make(name, size)
    with torch.inference_mode():
        by_stage, by_block = (classifier.trunk(images(3, size), layers) for layers in ("stages", "blocks"))
        tail = classifier.tail(by_stage.hidden, torch.ones_like(by_stage.hidden))
        logits = classifier(images(3, size))
    assert (len(by_stage.maps), len(by_block.maps)) == MAPS[name]
    for activation in (*by_stage.maps, *by_block.maps, tail.map):
        assert activation.ndim == 4
        assert len(activation) == 3
        assert activation.shape[3] * 2 == activation.shape[2] * 3  # the shape of the patches
    assert torch.equal(by_stage.hidden, by_block.hidden)
    assert tail.features.shape == (3, classifier.backbone.channels)
    assert_close(tail.logits, logits)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_dropout_changes_the_tail_alone(name):
    classifier = make(name).requires_grad_(False)
    classifier.mc_dropout(True)
    assert [module for module in classifier.modules() if module.training] == [classifier.dropout]
    first, second = classifier.trunk(images()), classifier.trunk(images())
    assert torch.equal(first.hidden, second.hidden)
    assert not torch.equal(classifier.tail(first.hidden).logits, classifier.tail(second.hidden).logits)
    classifier.mc_dropout(False)
    assert torch.equal(classifier(images()), classifier(images()))


@pytest.mark.parametrize("name", FAMILIES)
def test_features_and_logits_are_float32_under_autocast(name):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        classifier = make(name)
        assert classifier(images()).dtype == classifier.features(images()).dtype == torch.float32


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_layers_train_and_the_others_are_frozen(name):
    classifier = make(name, trainable_layers=2)
    layers = [m for m in classifier.backbone.modules() if isinstance(m, classifier.backbone.weighted_layers)]
    trained = [all(p.requires_grad for p in layer.parameters()) for layer in layers]
    assert trained == [False] * (len(layers) - 2) + [True, True]
    classifier.train()(images()).sum().backward()
    assert not any(module.training for frozen in classifier.frozen for module in frozen.modules())
    for parameter in classifier.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad


def test_embeddings_and_layer_scales_are_frozen_with_the_layers_that_they_serve():
    free = {name for name, p in make("vit_b_16", trainable_layers=5).backbone.named_parameters() if p.requires_grad}
    assert not free & {"class_token", "encoder.pos_embedding"}
    assert "encoder.layers.encoder_layer_11.self_attention.in_proj_weight" in free
    assert "encoder.layers.encoder_layer_10.mlp.3.weight" in free
    block = "features.7.2"
    for count, trains in ((3, True), (2, False)):
        parameters = dict(make("convnext_tiny", trainable_layers=count).backbone.named_parameters())
        assert parameters[f"{block}.layer_scale"].requires_grad == trains
    whole = make("vit_b_16").backbone
    assert freeze_all_but(whole, 0) == []


@pytest.mark.parametrize(
    ("name", "size"),
    [("densenet121", (31, 32)), ("convnext_tiny", (24, 32)), ("vit_b_16", (96, 100)), ("timm:test_vit", (24, 24))],
)
def test_patches_that_do_not_fit_are_refused(name, size):
    with pytest.raises(SettingsError, match=f"'{name}' .* {size[0]}x{size[1]} px.*choose another backbone"):
        make(name, size)


@pytest.mark.parametrize(("name", "size"), [("densenet121", 32), ("convnext_tiny", 32), ("vit_b_16", 16)])
def test_the_smallest_patches_fit(name, size):
    assert make(name, (size, size))(images(1, (size, size))).shape == (1, 3)


def test_a_timm_model_with_several_outputs_is_refused():
    with pytest.raises(SettingsError, match=r"'timm:coat_tiny' .* \(it returns several outputs\)"):
        make("timm:coat_tiny")


def test_a_width_that_a_backbone_does_not_have_is_refused():
    with pytest.raises(SettingsError, match="'timm:test_vit' has a fixed number of channels, and width is 0.5"):
        make("timm:test_vit", width=0.5)


def test_a_stem_that_a_backbone_does_not_have_is_refused():
    entry = BACKBONES["vit_b_16"]
    assert entry.resolve_stem("auto", (48, 48), pretrained=False) == "imagenet"
    with pytest.raises(SettingsError, match="'vit_b_16' has no stem 'small'"):
        entry.resolve_stem("small", (48, 48), pretrained=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("densenet12", "no backbone 'densenet12' .*did you mean 'densenet121'"),
        ("timm", "no backbone 'timm' .*did you mean 'timm:NAME'"),
        ("timm:", "no backbone 'timm:' .*did you mean 'timm:NAME'"),
        ("tim:vgg11", "no backbone 'tim:vgg11'.*: choose one of resnet10, .*, timm:NAME"),
        ("timm:resnet1O", "timm has no model 'resnet1O' .*did you mean 'resnet1"),
        ("timm:hf-hub:timm/resnet18.a1_in1k", "timm has no model 'hf-hub:timm/resnet18.a1_in1k'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name, message):
    with pytest.raises(SettingsError, match=message):
        make(name)


def test_the_old_names_in_torchvisions_densenet_files_fit():
    backbone = make("densenet121").backbone
    state = backbone.state_dict()
    published = {re.sub(r"(denselayer.*(norm|conv))([12])", r"\1.\3", name): w + 1 for name, w in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in published
    load_backbone(backbone, published, "densenet121-a639ec97.pth")
    assert torch.equal(backbone.features.denseblock1.denselayer1.norm1.weight, torch.full([8], 2.0))


@pytest.mark.parametrize("size", [32, 96])
def test_position_embeddings_are_interpolated_as_torchvision_does(size):
    torch.manual_seed(1)
    published = torchvision.models.VisionTransformer(64, 16, 12, 2, 128, 512).state_dict()
    expected = interpolate_embeddings(size, 16, published)
    backbone = make("vit_b_16", (size, size), width=0.125).backbone
    load_backbone(backbone, published, "vit.pth")
    assert_close(backbone.encoder.pos_embedding.detach(), expected["encoder.pos_embedding"])


def test_position_embeddings_of_timm_are_resized():
    published = timm.create_model("test_vit", pretrained=False, img_size=64)
    backbone = make("timm:test_vit", (32, 48)).backbone
    before = published.state_dict()
    load_backbone(backbone, before, "vit.safetensors")
    assert backbone.model.pos_embed.shape[1] == 1 + 2 * 3
    assert_close(backbone.model.blocks[0].norm1.weight, before["blocks.0.norm1.weight"])


def test_weights_of_another_model_are_refused():
    with pytest.raises(ModelError, match="do not fit the backbone .*is missing"):
        load_backbone(make("vit_b_16").backbone, make("resnet10").backbone.state_dict(), "w.pth")


@pytest.mark.parametrize("name", BACKBONES)
def test_every_registered_backbone_is_found_and_has_its_minimum_size(name):
    entry = find_backbone(name)
    assert entry is BACKBONES[name]
    entry.check(name, (entry.minimum_size, entry.minimum_size), 1.0)
