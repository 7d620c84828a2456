"""Both branches stand on the averaged map, vectors are of unit length, and every backbone keeps the contract."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.nets.resnet import IMAGENET_MEAN, IMAGENET_STD  # noqa: E402
from shopcue.nets.retrieval import BACKBONES, Backbone, HouseBackbone, ResNetBackbone, RetrievalNet  # noqa: E402

PIXELS = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def small_bodies() -> list[Backbone]:
    torch.manual_seed(0)
    return [HouseBackbone().eval(), ResNetBackbone((1, 1, 1, 1), width=4).eval()]


@pytest.mark.parametrize("body", small_bodies(), ids=["house", "resnet"])
def test_vectors_and_logits_are_two_linear_views_of_the_same_features(body: Backbone) -> None:
    net = RetrievalNet(body, dim=8, instances=5).eval()
    with torch.no_grad():
        vectors, logits = net(PIXELS)
        features = body(PIXELS)
        assert features.shape == (3, body.channels)
        raw = features @ net.embedder.projection.weight.T + net.embedder.projection.bias
        torch.testing.assert_close(vectors, raw / raw.norm(dim=1, keepdim=True))
        torch.testing.assert_close(logits, features @ net.classifier.weight.T + net.classifier.bias)
        torch.testing.assert_close(net.embedder(PIXELS), vectors)
        for index, picture in enumerate(PIXELS):
            torch.testing.assert_close(net(picture[None])[0][0], vectors[index], rtol=1e-4, atol=1e-5)


def test_both_branches_teach_the_backbone() -> None:
    for part in (0, 1):
        net = RetrievalNet(ResNetBackbone((1, 1, 1, 1), width=4), dim=8, instances=5)
        (net(PIXELS)[part][:, 0]).sum().backward()
        gradient = net.embedder.backbone.net.conv1.weight.grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_a_resnet_sees_the_values_that_its_published_weights_were_trained_with() -> None:
    body = ResNetBackbone((1, 1, 1, 1), width=4).eval()
    seen = []
    body.net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    body(PIXELS)
    values = PIXELS[1, 5, 9].tolist()
    expected = [(v - m) / s for v, m, s in zip(values, IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    torch.testing.assert_close(seen[0][1, :, 5, 9], torch.tensor(expected))


def test_every_backbone_has_a_name_and_its_size() -> None:
    sizes = {}
    with torch.device("meta"):
        for name, make in BACKBONES.items():
            sizes[name] = make().channels
    assert sizes == {"house": 1280, "resnet50": 2048, "resnet101": 2048}
