"""SGMN as a whole: the sum of eq. 22, its switches, what is trained, and that only GRA is in use."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from torch import Tensor  # noqa: E402

import sgmn_loops as plain  # noqa: E402
from patch_encoder import PatchEncoder  # noqa: E402
from shopcue.errors import SettingsError  # noqa: E402
from shopcue.nets.sgmn.alignment import score  # noqa: E402
from shopcue.nets.sgmn.network import Encoded, Sgmn, SgmnBatch, SgmnConfig, inference_state  # noqa: E402

MAKE = torch.Generator().manual_seed(21)
N, L, S = 4, 4, 16
SMALL = SgmnConfig(text_dim=24, frames=L, heads=2)
SPEECH = ("看这款苹果汁", "this oat milk is so creamy", "", "the red shirt")
TITLES = ("苹果汁 1 升", "Oat milk", "Plain socks", "")

# What moves all logits of a row alike, which no softmax sees; a key's bias does, too.
UNSEEN = ("interaction.v2v.out.bias", "interaction.i2i.out.bias")
# What tells equal rows of a stack apart (docstring of graphs).
OF_THE_STACK = (
    "interaction.i2i.",
    "interaction.image_branch.within.query.",
    "interaction.image_branch.within.key.",
    "interaction.video_branch.cross.query.",
    "interaction.video_branch.cross.key.",
)


def pixels(*shape: int) -> Tensor:
    return torch.randint(0, 256, (*shape, S, S, 3), dtype=torch.uint8, generator=MAKE)


def batch(products: tuple[int, ...] = (0, 1, 2, 3)) -> SgmnBatch:
    mask = torch.ones(N, L, dtype=torch.bool)
    mask[1, 2] = False
    return SgmnBatch(pixels(N, L), mask, pixels(N), SPEECH, TITLES, torch.tensor(products))


def build(config: SgmnConfig = SMALL) -> Sgmn:
    torch.manual_seed(0)
    return Sgmn(config, PatchEncoder(16, S))


def number(value: Tensor) -> float:
    return float(value.detach())


@pytest.fixture(scope="module")
def net() -> Sgmn:
    return build()


@pytest.fixture(scope="module")
def encoded(net: Sgmn) -> Encoded:
    with torch.no_grad():
        encoded: Encoded = net.encode(batch((0, 1, 2, 2)))
    return encoded


# ---- eq. 22 and what it is the sum of --------------------------------------------------------------------------


def pooled(rows: Tensor) -> plain.Rows:
    return [plain.unit(plain.mean(each)) for each in rows.tolist()]


def test_the_similarity_loss_is_both_triplets(net: Sgmn, encoded: Encoded) -> None:
    assert encoded.speech is not None
    assert encoded.titles is not None
    products = encoded.products.tolist()
    visual = plain.triplet(plain.matrix(pooled(encoded.videos), encoded.images.tolist()), products, 0.2)
    said = [bool(s and t) for s, t in zip(SPEECH, TITLES, strict=True)]
    text = plain.triplet(plain.matrix(encoded.speech.tolist(), encoded.titles.tolist()), products, 0.2, said)
    assert number(net.terms(encoded)["similarity"]) == pytest.approx(visual + 0.5 * text, abs=1e-5)


def test_the_graph_loss_is_three_triplets_and_the_divergence(net: Sgmn, encoded: Encoded) -> None:
    assert net.interaction is not None
    met = net.interaction(encoded.videos, encoded.images, encoded.mask)
    videos, images, products = pooled(met.videos), pooled(met.images), encoded.products.tolist()
    expected = number(met.divergence)
    for clips, pictures in (
        (videos, images),
        (pooled(encoded.videos), images),
        (videos, encoded.images.tolist()),
    ):
        expected += plain.triplet(plain.matrix(clips, pictures), products, 0.2)
    assert number(net.terms(encoded)["graph"]) == pytest.approx(expected, abs=1e-4)


def test_the_total_weighs_its_parts(encoded: Encoded) -> None:
    for beta1, beta2 in ((0.7, 0.3), (0.0, 1.0), (1.0, 0.0)):
        terms = build(replace(SMALL, beta1=beta1, beta2=beta2)).terms(encoded)
        expected = number(terms["similarity"]) + beta1 * number(terms["graph"]) + beta2 * number(terms["match"])
        assert number(terms["total"]) == pytest.approx(expected, abs=1e-5)


def test_hard_pairs_are_picked_by_both_similarities(
    net: Sgmn, encoded: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    assert net.fusion is not None
    handle = net.fusion.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[4]))
    net.terms(encoded)
    handle.remove()
    clips = torch.tensor(pooled(encoded.videos))
    expected = score(clips, encoded.images, encoded.speech, encoded.titles, SMALL.fusion_weight)
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize("products", [(0, 1, 2, 3), (5, 5, 5, 5)])
def test_the_loss_ignores_the_order_of_the_pairs(net: Sgmn, products: tuple[int, ...]) -> None:
    given, order = batch(products), [2, 0, 3, 1]
    mixed = SgmnBatch(
        given.frames[order],
        given.frame_mask[order],
        given.pictures[order],
        [given.speech[i] for i in order],
        [given.titles[i] for i in order],
        given.products[order],
    )
    with torch.no_grad():
        for name, value in net.loss(given).items():
            torch.testing.assert_close(net.loss(mixed)[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("image_rows", ["stacked", "places"])
@pytest.mark.parametrize("place", range(N))
def test_a_pair_of_which_nothing_is_seen_teaches_the_others_nothing(image_rows: str, place: int) -> None:
    net, given = build(replace(SMALL, image_rows=image_rows)), batch()
    mask = given.frame_mask.clone()
    mask[place] = False
    blank = [*SPEECH[:place], "", *SPEECH[place + 1 :]]
    kept = [n for n in range(N) if n != place]
    without = SgmnBatch(
        given.frames[kept],
        given.frame_mask[kept],
        given.pictures[kept],
        [SPEECH[n] for n in kept],
        [TITLES[n] for n in kept],
        given.products[kept],
    )
    found, expected = net.loss(replace(given, frame_mask=mask, speech=blank)), net.loss(without)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
    found["total"].backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in net.parameters())


def test_a_batch_of_which_nothing_is_seen_teaches_nothing(net: Sgmn) -> None:
    unseen = replace(batch(), frame_mask=torch.zeros(N, L, dtype=torch.bool), speech=("",) * N)
    loss = net.loss(unseen)["total"]
    loss.backward()
    assert number(loss) == 0
    assert all(each.grad is None or (each.grad == 0).all() for each in net.parameters())
    net.zero_grad()


# ---- switches --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("off", "terms", "gone"),
    [
        ({"te": False}, {"similarity", "graph", "match"}, "alignment.text_filter"),
        ({"tmc": False}, {"similarity", "graph", "match"}, "alignment.motion"),
        ({"gci": False}, {"similarity", "match"}, "interaction."),
        ({"smf": False}, {"similarity", "graph"}, "fusion."),
        ({"i2i": False}, {"similarity", "graph", "match"}, "interaction.i2i"),
        ({"v2v": False}, {"similarity", "graph", "match"}, "interaction.v2v"),
        ({"cross": False}, {"similarity", "graph", "match"}, "interaction.v2i"),
        ({"te": False, "tmc": False, "gci": False, "smf": False}, {"similarity"}, "fusion."),
    ],
)
def test_each_component_can_be_left_out(off: dict[str, bool], terms: set[str], gone: str) -> None:
    net = build(replace(SMALL, **off))  # type: ignore[arg-type]
    loss = net.loss(batch())
    assert set(loss) == terms | {"total"}
    loss["total"].backward()
    assert any(name.startswith(gone) for name in build().state_dict())
    assert not any(name.startswith(gone) for name in net.state_dict())


def test_each_row_of_table_7_starts_as_the_one_before_it() -> None:
    off: dict[str, bool] = {"te": False, "tmc": False, "gci": False, "smf": False}
    before = build(replace(SMALL, **off)).state_dict()  # type: ignore[arg-type]
    for component in ("te", "tmc", "gci", "smf"):
        off.pop(component)
        now = build(replace(SMALL, **off)).state_dict()  # type: ignore[arg-type]
        assert set(now) > set(before)
        assert all(torch.equal(value, now[name]) for name, value in before.items())
        before = now


def test_without_text_speech_changes_nothing() -> None:
    net, given = build(replace(SMALL, te=False)), batch()
    with torch.no_grad():
        torch.testing.assert_close(net.loss(given), net.loss(replace(given, speech=TITLES, titles=SPEECH)))


def test_a_batch_without_any_text_is_trained_on_pictures_alone(net: Sgmn) -> None:
    blank = ("",) * N
    given = replace(batch(), speech=blank, titles=blank)
    loss = net.loss(given)
    loss["total"].backward()
    assert loss["total"].isfinite()
    assert all(each.grad is None or each.grad.isfinite().all() for each in net.parameters())
    net.zero_grad()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"encoder": "resnet"}, "'resnet', expected one of house"),
        ({"text_encoder": "bert"}, "'bert', expected one of house"),
        ({"hard": 1}, "hard is 1, expected at least 2"),
        ({"beta1": float("nan")}, "beta1 is nan"),
        ({"frames": 0}, "frames is 0"),
        ({"image_rows": "patches"}, "'patches', expected one of stacked, places"),
        ({"heads": 3}, "divisor of the dim, 16"),
        ({"side_px": 40}, "multiple of 32"),
        ({"frozen": 18}, "expected 0 to 17 layers"),
    ],
)
def test_a_config_that_makes_no_sense_is_one_line(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Sgmn(replace(SMALL, dim=16, **wrong))  # type: ignore[arg-type]


# ---- what is trained, and what is in use -----------------------------------------------------------------------


@pytest.mark.parametrize(("image_rows", "without_effect"), [("stacked", OF_THE_STACK), ("places", ())])
def test_gradients_reach_all_that_is_trained_and_nothing_that_is_frozen(
    image_rows: str, without_effect: tuple[str, ...]
) -> None:
    net = build(replace(SMALL, image_rows=image_rows))
    net.loss(batch())["total"].backward()
    idle = {name for name, each in net.named_parameters() if each.grad is None or not each.grad.abs().max() > 1e-9}
    frozen = {name for name, each in net.named_parameters() if not each.requires_grad}
    assert frozen == {"alignment.picture.filters.weight", "alignment.picture.filters.bias"}
    assert frozen <= idle
    assert all(net.get_parameter(name).grad is None for name in frozen)
    unreachable = {name for name in idle if name.startswith(without_effect + UNSEEN) or name.endswith("key.bias")}
    assert idle - frozen <= unreachable


def test_half_precision_gives_nearly_the_same_loss(net: Sgmn) -> None:
    given = batch()
    with torch.no_grad():
        exact = net.loss(given)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = net.loss(given)
    for name, value in exact.items():
        torch.testing.assert_close(half[name].float(), value, rtol=0.1, atol=0.1)


def test_interaction_and_fusion_change_nothing_that_is_in_use(net: Sgmn) -> None:
    given = batch()

    def answers(net: Sgmn) -> list[Tensor]:
        with torch.no_grad():
            rows, clips = net.encode_clips(given.frames, given.frame_mask)
            speech, titles = net.encode_texts(SPEECH), net.encode_texts(TITLES)
            pictures = net.encode_pictures(given.pictures)
            return [rows, clips, pictures, speech, titles, score(clips, pictures, speech, titles)]

    trained = build()
    before = answers(trained)
    with torch.no_grad():
        for name, parameter in trained.named_parameters():
            if not name.startswith("alignment."):
                parameter.copy_(torch.randn(parameter.shape, generator=MAKE))
    assert all(torch.equal(one, two) for one, two in zip(before, answers(trained), strict=True))

    weights = inference_state(trained)
    assert set(trained.state_dict()) - set(weights) == {
        name for name in trained.state_dict() if name.startswith(("interaction.", "fusion."))
    }
    torch.manual_seed(99)
    in_use = Sgmn(replace(SMALL, gci=False, smf=False), PatchEncoder(16, S))
    in_use.load_state_dict(weights, strict=True)
    assert all(torch.equal(one, two) for one, two in zip(before, answers(in_use), strict=True))


@pytest.mark.parametrize("image_rows", ["stacked", "places"])
def test_a_batch_that_is_split_and_gathered_is_the_whole_batch(image_rows: str) -> None:
    net, given = build(replace(SMALL, image_rows=image_rows)), batch((0, 1, 1, 2))
    halves = [
        SgmnBatch(
            given.frames[part],
            given.frame_mask[part],
            given.pictures[part],
            SPEECH[part],
            TITLES[part],
            given.products[part],
        )
        for part in (slice(0, 2), slice(2, 4))
    ]
    with torch.no_grad():
        whole = net.loss(given)
        second = net.encode(halves[1])
        held = (getattr(second, each.name) for each in fields(second))
        others = iter([rows for rows in held if rows is not None])
        together = net(halves[0], lambda rows: torch.cat([rows, next(others)]))
    for name, value in whole.items():
        torch.testing.assert_close(together[name], value)


def test_some_steps_teach_it_its_pairs() -> None:
    net, given = build(), batch()
    see = net.alignment.picture
    given = replace(
        given,
        frames=see.trunk(see.prepare(given.frames.flatten(0, 1))).unflatten(0, (N, L)),
        pictures=see.trunk(see.prepare(given.pictures)),
    )
    optimizer = torch.optim.AdamW([each for each in net.parameters() if each.requires_grad], lr=3e-3)
    first = number(net.loss(given)["total"])
    for _ in range(40):
        optimizer.zero_grad()
        net.loss(given)["total"].backward()
        optimizer.step()
    assert number(net.loss(given)["total"]) < 0.5 * first
    with torch.no_grad():
        clips, pictures = net.encode_clips(given.frames, given.frame_mask)[1], net.encode_pictures(given.pictures)
    assert (clips @ pictures.T).argmax(dim=1).tolist() == list(range(N))
