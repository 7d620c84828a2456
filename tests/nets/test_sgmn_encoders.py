"""The encoders of SGMN by name, and the house one from pixels to places."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from shopcue.models.clip_text import WIDTH, hashed_ngrams  # noqa: E402
from shopcue.nets.retrieval import HouseBackbone  # noqa: E402
from shopcue.nets.sgmn.encoders import (  # noqa: E402
    ENCODERS,
    EncoderSettings,
    HousePictureEncoder,
    HouseTextEncoder,
)
from shopcue.nets.sgmn.network import Sgmn, SgmnBatch, SgmnConfig, build_picture_encoder  # noqa: E402

MAKE = torch.Generator().manual_seed(3)
PIXELS = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8, generator=MAKE)


def lively(encoder: HousePictureEncoder) -> HousePictureEncoder:
    """Give the net weights that keep a signal: as it is drawn, pictures would hardly differ."""
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, generator=MAKE)
    return encoder


def build(frozen: int = 11) -> HousePictureEncoder:
    torch.manual_seed(0)
    return lively(HousePictureEncoder(dim=16, side_px=64, frozen_blocks=frozen))


def test_the_names_are_those_of_the_docs() -> None:
    assert list(ENCODERS) == ["house", "clip-vit-b-32", "chinese-clip"]


@pytest.mark.parametrize("frozen", [0, 6, 16, 17])
def test_the_places_are_the_cells_of_the_backbone_and_the_vector_starts_near_their_mean(frozen: int) -> None:
    encoder = build(frozen)
    with torch.no_grad():
        vectors, places = encoder(encoder.prepare(PIXELS))
        assert places.shape == (3, encoder.tokens, encoder.dim) == (3, 4, 16)
        pooled = encoder.backbone(PIXELS)
        torch.testing.assert_close(places.mean(dim=1), encoder.projection(pooled), rtol=1e-3, atol=1e-3)
        features = encoder.features(encoder.trunk(encoder.prepare(PIXELS)))
        torch.testing.assert_close(features, pooled, rtol=1e-3, atol=1e-3)
        near = torch.nn.functional.cosine_similarity(vectors, places.mean(dim=1), dim=1)
    assert near.min() > 0.9


@pytest.mark.parametrize("frozen", [0, 6, 11, 12, 16, 17])
def test_stored_maps_of_the_trunk_are_all_that_the_rest_needs(frozen: int) -> None:
    encoder = build(frozen)
    pictures = encoder.prepare(PIXELS)
    maps = encoder.trunk(pictures)
    assert not maps.requires_grad
    side = {0: 32, 6: 4, 11: 4, 12: 2, 16: 2, 17: 2}[frozen]
    assert maps.shape[2:] == (side, side)
    stored = torch.from_numpy(maps.numpy().copy())
    for one, two in zip(encoder.upper(stored), encoder(pictures), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)  # not to the bit: memory is laid out otherwise


@pytest.mark.parametrize("frozen", [0, 11, 16, 17])
def test_gradients_reach_what_is_trained_and_nothing_else(frozen: int) -> None:
    encoder = build(frozen)
    encoder(encoder.prepare(PIXELS))[0].square().sum().backward()
    for name, parameter in encoder.named_parameters():
        block = int(name.split(".")[3]) if ".blocks." in name else -1
        if ".stem." in name or 0 <= block < frozen or (".head." in name and frozen == 17):
            assert not parameter.requires_grad, name
            assert parameter.grad is None, name
        elif not name.endswith("look.key.bias"):  # which no softmax sees
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_unless_told_otherwise_the_finer_half_is_frozen() -> None:
    for config, frozen in ((SgmnConfig(), 11), (SgmnConfig(frozen=0), 0), (SgmnConfig(frozen=17), 17)):
        with torch.device("meta"):
            picture = build_picture_encoder(config)
        assert isinstance(picture, HousePictureEncoder)
        assert picture.frozen_blocks == frozen


def test_weights_that_replace_the_net_are_frozen_again() -> None:
    encoder = build(11)
    encoder.backbone.net = HouseBackbone().net
    encoder.freeze()
    assert not encoder.trunk(encoder.prepare(PIXELS)).requires_grad


def test_a_picture_does_not_depend_on_its_batch() -> None:
    encoder = build()
    with torch.no_grad():
        together = encoder(encoder.prepare(PIXELS))
        for n in range(3):
            for all_, one in zip(together, encoder(encoder.prepare(PIXELS[n : n + 1])), strict=True):
                torch.testing.assert_close(all_[n], one[0], rtol=1e-4, atol=1e-4)


def test_attention_says_where_the_vector_comes_from() -> None:
    encoder = build()
    with torch.no_grad():
        maps = encoder.trunk(encoder.prepare(PIXELS))
        vectors, places = encoder.upper(maps)
        taken = encoder.attention(maps)
        torch.testing.assert_close(taken.sum(dim=1), torch.ones(3))
        # With one head and values as they are, the vector is the mean plus the places by attention.
        single = HousePictureEncoder(encoder.backbone, dim=16, side_px=64, heads=1)
        for linear in (single.look.value, single.look.out):
            torch.nn.init.eye_(linear.weight)
            torch.nn.init.zeros_(linear.bias)
        vectors, places = single.upper(maps)
        seen = single.before_looking(places)
        expected = places.mean(dim=1) + torch.einsum("np,npd->nd", single.attention(maps), seen)
        torch.testing.assert_close(vectors, expected, rtol=1e-4, atol=1e-4)


def test_the_house_reads_by_hashed_ngrams() -> None:
    encoder, texts = HouseTextEncoder(), ["苹果汁", "apple juice", ""]
    vectors = encoder(encoder.tokens(texts))
    assert vectors.shape == (3, encoder.width) == (3, WIDTH)
    assert torch.equal(vectors, torch.from_numpy(hashed_ngrams(texts)))
    assert not list(encoder.parameters())


def test_a_text_encoder_never_trains() -> None:
    encoder = ENCODERS["house"].text(EncoderSettings())
    encoder.train()
    assert not encoder.training


def test_the_house_sgmn_trains_from_pixels_to_its_loss() -> None:
    torch.manual_seed(0)
    net = Sgmn(SgmnConfig(side_px=64, dim=16, text_dim=24, frames=4, heads=2))
    picture = net.alignment.picture
    assert isinstance(picture, HousePictureEncoder)
    lively(picture)
    frames = torch.randint(0, 256, (2, 4, 64, 64, 3), dtype=torch.uint8, generator=MAKE)
    given = SgmnBatch(
        frames,
        torch.ones(2, 4, dtype=torch.bool),
        PIXELS[:2],
        ["a red shirt", "苹果汁"],
        ["shirt", "果汁"],
        torch.arange(2),
    )
    net.loss(given)["total"].backward()
    trained = [name for name, each in net.named_parameters() if each.grad is not None]
    assert any(".blocks.11." in name for name in trained)
    assert not any(".blocks.10." in name for name in trained)
