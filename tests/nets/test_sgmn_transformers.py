"""CLIP and Chinese-CLIP as encoders, on tiny random ones that are saved and read in the hub's format, offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")
transformers = pytest.importorskip("transformers", reason="CLIP needs transformers: pip install 'shopcue[train]'")

from torch import Tensor  # noqa: E402

from shopcue.errors import SettingsError, WeightsError  # noqa: E402
from shopcue.nets.sgmn.encoders import ENCODERS, EncoderSettings  # noqa: E402
from shopcue.nets.sgmn.network import (  # noqa: E402
    Sgmn,
    SgmnBatch,
    SgmnConfig,
    build_picture_encoder,
    build_text_encoder,
)
from shopcue.nets.sgmn.transformer_encoders import ClipTextEncoder, load_clip, load_tokenizer  # noqa: E402
from tiny_clips import DIM, SIDE, write_chinese_clip, write_clip  # noqa: E402

MAKE = torch.Generator().manual_seed(7)
PIXELS = torch.randint(0, 256, (3, SIDE, SIDE, 3), dtype=torch.uint8, generator=MAKE)
NAMES = ["clip-vit-b-32", "chinese-clip"]
TEXTS = {"clip-vit-b-32": ["ab abc", "cab", "b " * 40], "chinese-clip": ["苹果汁", "红裙子", "果" * 70]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    folders = {name: tmp_path_factory.mktemp(name) for name in NAMES}
    write_clip(folders["clip-vit-b-32"])
    write_chinese_clip(folders["chinese-clip"])
    return folders


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may reach a network."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr("socket.socket.connect", refuse)


def reference(folder: Path) -> Any:
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    model = transformers.ChineseCLIPModel if kind == "chinese_clip" else transformers.CLIPModel
    return model.from_pretrained(folder, local_files_only=True).eval()


@pytest.mark.parametrize("frozen", [0, 1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_what_transformers_makes_of_them(folders: dict[str, Path], name: str, frozen: int) -> None:
    encoder = ENCODERS[name].picture(EncoderSettings(weights=str(folders[name]), frozen=frozen))
    assert (encoder.dim, encoder.side_px, encoder.tokens) == (DIM, SIDE, 16)
    model = reference(folders[name])
    with torch.no_grad():
        pictures = encoder.prepare(PIXELS)
        vectors, places = encoder(pictures)
        torch.testing.assert_close(vectors, model.get_image_features(pictures).pooler_output, rtol=1e-4, atol=1e-5)
        seen = model.vision_model(pictures).last_hidden_state[:, 1:]
        expected = model.visual_projection(model.vision_model.post_layernorm(seen))
        torch.testing.assert_close(places, expected, rtol=1e-4, atol=1e-5)
        maps = encoder.trunk(pictures)
        torch.testing.assert_close(encoder.upper(maps)[0], vectors)
        torch.testing.assert_close(encoder.upper(encoder.trunk(pictures[1:2]))[0][0], vectors[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_what_transformers_makes_of_them(folders: dict[str, Path], name: str) -> None:
    encoder = ENCODERS[name].text(EncoderSettings(weights=str(folders[name])))
    assert encoder.width == DIM
    texts, model = TEXTS[name], reference(folders[name])
    with torch.no_grad():
        together = encoder(encoder.tokens(texts))
        for text, vector in zip(texts, together, strict=True):
            tokens = encoder.tokens([text])
            torch.testing.assert_close(encoder(tokens)[0], vector, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(vector, model.get_text_features(**tokens).pooler_output[0], rtol=1e-4, atol=1e-5)
    lengths = encoder.tokens(texts)["attention_mask"].sum(dim=1).tolist()
    assert lengths[2] == {"clip-vit-b-32": 12, "chinese-clip": 52}[name]  # cut, not refused
    assert len({tuple(row.tolist()) for row in together}) == 3


@pytest.mark.parametrize("name", NAMES)
def test_attention_is_that_of_the_last_layer(folders: dict[str, Path], name: str) -> None:
    encoder = ENCODERS[name].picture(EncoderSettings(weights=str(folders[name]), frozen=1))
    model = reference(folders[name])
    model.set_attn_implementation("eager")
    with torch.no_grad():
        pictures = encoder.prepare(PIXELS)
        told = model.vision_model(pictures, output_attentions=True).attentions[-1]  # (N, heads, 1 + P, 1 + P)
        expected = told[:, :, 0, 1:].mean(dim=1)
        torch.testing.assert_close(
            encoder.attention(encoder.trunk(pictures)), expected / expected.sum(dim=1, keepdim=True)
        )
    standing = ENCODERS[name].picture(EncoderSettings(weights=str(folders[name]), frozen=3))
    with pytest.raises(SettingsError, match="all 3 layers are frozen"):
        standing.attention(standing.trunk(pictures))


@pytest.mark.parametrize("name", NAMES)
def test_unless_told_otherwise_all_of_it_is_trained_as_in_the_paper(folders: dict[str, Path], name: str) -> None:
    picture = build_picture_encoder(SgmnConfig(encoder=name, weights=str(folders[name])))
    assert all(parameter.requires_grad for parameter in picture.parameters())
    text = build_text_encoder(SgmnConfig(encoder=name, weights=str(folders[name])))
    assert not any(parameter.requires_grad for parameter in text.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_an_sgmn_of_them_trains_what_is_not_frozen(folders: dict[str, Path], name: str) -> None:
    torch.manual_seed(0)
    config = SgmnConfig(encoder=name, weights=str(folders[name]), frozen=2, frames=4, heads=2, text_dim=0)
    net = Sgmn(config).train()
    assert not any(module.training for module in net.alignment.text.modules())
    frames = torch.randint(0, 256, (3, 4, SIDE, SIDE, 3), dtype=torch.uint8, generator=MAKE)
    given = SgmnBatch(
        frames, torch.ones(3, 4, dtype=torch.bool), PIXELS, TEXTS[name], TEXTS[name][::-1], torch.arange(3)
    )
    net.loss(given)["total"].backward()
    moved = {key for key, each in net.named_parameters() if each.grad is not None and each.grad.abs().max() > 0}
    assert not any(key.startswith("alignment.text.") for key in moved)
    layers = {key.split(".")[5] for key in moved if ".vision.encoder.layers." in key}
    assert layers == {"2"}
    assert any("visual_projection" in key or "picture.projection" in key for key in moved)


def test_one_may_see_and_another_read_as_in_the_paper(folders: dict[str, Path]) -> None:
    config = SgmnConfig(
        encoder="clip-vit-b-32",
        weights=str(folders["clip-vit-b-32"]),
        text_encoder="chinese-clip",
        text_weights=str(folders["chinese-clip"]),
        frozen=3,
        frames=4,
        heads=2,
        text_dim=DIM,
    )
    net = Sgmn(config)
    assert isinstance(net.alignment.text, ClipTextEncoder)
    vectors: Tensor = net.encode_texts(["苹果汁", ""])
    assert vectors.shape == (2, DIM)
    assert (vectors[1] == 0).all()


# ---- what is refused -------------------------------------------------------------------------------------------


def copied(folder: Path, to: Path) -> Path:
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_a_name_that_is_not_here_is_one_line_and_asks_no_network() -> None:
    for where in ("", "someone/no-such-model", "/no/such/folder"):
        with pytest.raises(WeightsError, match="cannot read the encoder") as caught:
            ENCODERS["clip-vit-b-32"].picture(EncoderSettings(weights=where))
        assert "\n" not in str(caught.value)


def test_a_pickle_is_never_read(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["clip-vit-b-32"], tmp_path)
    torch.save(reference(folder).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        load_clip(str(folder))


def test_damaged_weights_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["chinese-clip"], tmp_path)
    whole = (folder / "model.safetensors").read_bytes()
    for part in (whole[:100], whole[: len(whole) // 2], b"", b"\xff" * 64):
        (folder / "model.safetensors").write_bytes(part)
        with pytest.raises(WeightsError, match="cannot read the encoder"):
            load_clip(str(folder))


def test_weights_that_lack_a_tensor_are_refused_rather_than_drawn(folders: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copied(folders["clip-vit-b-32"], tmp_path)
    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"lack 1 tensors such as visual_projection\.weight"):
        load_clip(str(folder))


def test_a_model_of_another_kind_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["clip-vit-b-32"], tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(WeightsError, match="kind 'bert', expected clip or chinese_clip"):
        load_clip(str(folder))


def test_code_beside_a_model_is_not_run(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["clip-vit-b-32"], tmp_path)
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    assert load_clip(str(folder)) is not None
    config["model_type"] = "evil"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="cannot read the encoder"):
        load_clip(str(folder))


def test_a_tokenizer_that_is_missing_or_of_another_model_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folders["clip-vit-b-32"] / name).read_bytes())
    with pytest.raises(WeightsError, match="the tokenizer knows 2 tokens, expected 10"):
        ENCODERS["clip-vit-b-32"].text(EncoderSettings(weights=str(tmp_path)))
    with pytest.raises(WeightsError, match="cannot read the encoder"):
        load_tokenizer(str(tmp_path / "nowhere"))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match="cannot read the encoder"):
        load_tokenizer(str(tmp_path))


def test_more_layers_cannot_be_frozen_than_there_are(folders: dict[str, Path]) -> None:
    with pytest.raises(SettingsError, match="expected 0 to 3 layers"):
        ENCODERS["clip-vit-b-32"].picture(EncoderSettings(weights=str(folders["clip-vit-b-32"]), frozen=4))
