"""The network in use, eq. 1-5 and 23, against plain loops; what is not there is not seen."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from torch import Tensor, nn  # noqa: E402

import sgmn_loops as plain  # noqa: E402
from patch_encoder import PatchEncoder  # noqa: E402
from shopcue.nets.sgmn.alignment import Alignment, MotionCompensation, TextFilter, motions, pool, score  # noqa: E402
from shopcue.nets.sgmn.attention import Attention  # noqa: E402
from shopcue.nets.sgmn.encoders import HouseTextEncoder  # noqa: E402

MAKE = torch.Generator().manual_seed(2)
D, L, S = 8, 4, 8


def units(*shape: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=MAKE), dim=-1)


def pixels(*shape: int) -> Tensor:
    return torch.randint(0, 256, (*shape, S, S, 3), dtype=torch.uint8, generator=MAKE)


@pytest.fixture
def alignment() -> Alignment:
    torch.manual_seed(0)
    net = Alignment(PatchEncoder(D, S), HouseTextEncoder(64), text_dim=16, frames=L, heads=2, tmc=True)
    loud(net)
    net.eval()
    return net


def loud(net: nn.Module) -> None:
    """Undo small starts, so that every layer has something to say."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=MAKE))


@pytest.mark.parametrize("heads", [1, 2])
def test_attention_with_a_graph_for_its_mask_equals_the_loop(heads: int) -> None:
    torch.manual_seed(1)
    layer = Attention(D, heads)
    queries, keys, relevance = units(3, D), units(5, D), torch.randn(3, 5, generator=MAKE)
    connected = torch.rand(3, 5, generator=MAKE) < 0.5
    connected[1] = False
    for given in ((None, None), (connected, None), (connected, relevance), (None, relevance)):
        lists = [None if each is None else each.tolist() for each in given]
        expected = plain.attention(layer, queries.tolist(), keys.tolist(), *lists)
        torch.testing.assert_close(layer(queries, keys, *given), torch.tensor(expected), rtol=1e-4, atol=1e-6)
    weights = layer.weights(queries, keys, connected, relevance)
    assert (weights[:, ~connected] == 0).all()
    torch.testing.assert_close(weights.sum(-1), connected.any(-1).float().expand(heads, 3))


def test_attention_to_nothing_is_no_reason_for_nan() -> None:
    layer = Attention(D, 2)
    queries = units(1, D).requires_grad_()
    layer(queries, units(3, D), torch.zeros(1, 3, dtype=torch.bool)).sum().backward()
    assert queries.grad is not None
    assert (queries.grad == 0).all()


def test_motion_is_the_difference_of_adjacent_frames() -> None:
    frames = units(2, L, D)
    moved = motions(frames)
    assert moved.shape == (2, L - 1, D)
    for n in range(2):
        for t in range(1, L):
            torch.testing.assert_close(moved[n, t - 1], frames[n, t] - frames[n, t - 1])


@pytest.mark.parametrize("there", [[True] * 4, [True, True, False, True], [False] * 4])
def test_motion_compensation_equals_the_loop(there: list[bool]) -> None:
    torch.manual_seed(3)
    layer = MotionCompensation(D, frames=5, heads=2)
    loud(layer)
    frames = units(1, L, D)
    blown = plain.scaled(frames[0].tolist(), D**0.5)
    place, kind = layer.place.tolist(), layer.kind.tolist()
    tokens = [[x + p + k for x, p, k in zip(row, place[t], kind[0], strict=True)] for t, row in enumerate(blown)]
    for t in range(1, L):
        difference = [[a - b for a, b in zip(blown[t], blown[t - 1], strict=True)]]
        moved = plain.linear(layer.motion, difference)[0]
        tokens.append([x + p + k for x, p, k in zip(moved, place[t], kind[1], strict=True)])
    seen = [*there, *(there[t] and there[t - 1] for t in range(1, L))]
    read = plain.block(layer.block, tokens, [seen] * len(tokens))
    answer = plain.linear(layer.answer[1], plain.layer_norm(layer.answer[0], read[:L]))
    expected = plain.add(frames[0].tolist(), answer)
    actual = layer(frames, torch.tensor([there]))[0]
    torch.testing.assert_close(actual, torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_before_training_motion_compensation_leaves_frames_nearly_as_they_are() -> None:
    torch.manual_seed(0)
    layer, frames = MotionCompensation(256, frames=10, heads=4), units(3, 10, 256)
    moved = layer(frames, torch.ones(3, 10, dtype=torch.bool)).detach()
    assert torch.nn.functional.cosine_similarity(moved, frames, dim=-1).min() > 0.9


@pytest.mark.parametrize("dim", [12, 5])
def test_the_filter_equals_the_loop(dim: int) -> None:
    torch.manual_seed(4)
    layer, texts = TextFilter(12, dim, narrow=3), torch.randn(3, 12, generator=MAKE)
    loud(layer)
    for row, actual in zip(texts.tolist(), layer(texts), strict=True):
        one = plain.unit(row)
        gate = plain.linear(layer.gate[2], plain.relu(plain.linear(layer.gate[0], [one])))[0]
        kept = [[2 * plain.sigmoid(g) * x for g, x in zip(gate, one, strict=True)]]
        kept = plain.add(kept, plain.linear(layer.up, plain.linear(layer.down, kept)))
        expected = plain.unit((plain.linear(layer.project, kept) if dim < 12 else kept)[0])
        torch.testing.assert_close(actual, torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_the_filter_starts_by_keeping_alike_what_is_alike_and_nothing_from_nothing() -> None:
    torch.manual_seed(4)
    same_width = TextFilter(256, 256)
    texts = units(6, 256)
    torch.testing.assert_close(same_width(texts) @ same_width(texts).T, texts @ texts.T, rtol=0.05, atol=0.05)
    for dim in (256, 16):
        assert (TextFilter(256, dim)(torch.zeros(2, 256)) == 0).all()


def test_texts_are_filtered_alike_and_a_blank_one_says_nothing(alignment: Alignment) -> None:
    assert alignment.text is not None
    assert alignment.text_filter is not None
    said = ["这款苹果汁很好喝", "", "Apple juice", " \n"]
    vectors = alignment.encode_texts(said)
    features = alignment.text(alignment.text.tokens(said))
    torch.testing.assert_close(vectors[[0, 2]], alignment.text_filter(features)[[0, 2]])
    assert (vectors[[1, 3]] == 0).all()
    torch.testing.assert_close(vectors[[0, 2]].norm(dim=1), torch.ones(2))
    with pytest.raises(ValueError, match="without text"):
        Alignment(PatchEncoder(D, S), None, text_dim=16, frames=L, heads=2, tmc=False).encode_texts(said)


def test_pictures_and_frames_are_seen_by_one_encoder_and_pooled(alignment: Alignment) -> None:
    frames = pixels(2, L)
    alignment.motion = None
    rows, vectors = alignment.encode_clips(frames)
    for n in range(2):
        expected = [plain.unit(alignment.encode_pictures(frames[n, t : t + 1])[0].tolist()) for t in range(L)]
        torch.testing.assert_close(rows[n], torch.tensor(expected))
        torch.testing.assert_close(vectors[n], torch.tensor(plain.unit(plain.mean(expected))))


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_places_are_those_of_the_picture_and_neighbours_are_averaged(alignment: Alignment, count: int) -> None:
    pictures = pixels(2)
    encoder = alignment.picture
    vectors, places = alignment.encode_places(pictures, count)
    torch.testing.assert_close(vectors, alignment.encode_pictures(pictures))
    told = encoder(encoder.prepare(pictures))[1].tolist()  # four of each picture
    for n in range(2):
        each = 4 / count
        for place in range(count):
            first, last = int(place * each), max(int(place * each) + 1, int((place + 1) * each))
            expected = plain.unit(plain.mean(told[n][first:last]))
            torch.testing.assert_close(places[n, place], torch.tensor(expected))


def test_maps_that_were_stored_give_what_pixels_give(alignment: Alignment) -> None:
    frames, pictures = pixels(2, L), pixels(3)
    encoder = alignment.picture
    maps = encoder.trunk(encoder.prepare(frames.flatten(0, 1))).unflatten(0, (2, L))
    for stored, seen in zip(alignment.encode_clips(maps), alignment.encode_clips(frames), strict=True):
        torch.testing.assert_close(stored, seen)
    torch.testing.assert_close(
        alignment.encode_pictures(encoder.trunk(encoder.prepare(pictures))), alignment.encode_pictures(pictures)
    )


def test_a_clip_does_not_depend_on_its_batch(alignment: Alignment) -> None:
    frames = pixels(3, L)
    mask = torch.tensor([[True] * 4, [True, False, True, True], [False, True, True, False]])
    together = alignment.encode_clips(frames, mask)
    for n in range(3):
        alone = alignment.encode_clips(frames[n : n + 1], mask[n : n + 1])
        for all_, one in zip(together, alone, strict=True):
            torch.testing.assert_close(all_[n], one[0])


def test_what_a_missing_frame_holds_changes_nothing_and_a_clip_without_frames_is_zero(alignment: Alignment) -> None:
    frames = pixels(2, L)
    mask = torch.tensor([[True, False, True, True], [False] * 4])
    other = frames.clone()
    other[~mask] = pixels(5)
    for one, two in zip(alignment.encode_clips(frames, mask), alignment.encode_clips(other, mask), strict=True):
        torch.testing.assert_close(one, two)
    rows, vectors = alignment.encode_clips(frames, mask)
    assert (rows[~mask] == 0).all()
    assert (vectors[1] == 0).all()
    torch.testing.assert_close(vectors[0], torch.tensor(plain.unit(plain.mean(rows[0][mask[0]].tolist()))))


def test_only_motion_knows_the_order_of_frames(alignment: Alignment) -> None:
    frames, order = pixels(2, L), torch.tensor([2, 0, 3, 1])
    moved = alignment.encode_clips(frames[:, order])[1] - alignment.encode_clips(frames)[1]
    assert moved.abs().max() > 1e-3
    alignment.motion = None
    torch.testing.assert_close(alignment.encode_clips(frames[:, order])[1], alignment.encode_clips(frames)[1])


def test_the_score_is_the_weighted_sum_of_both_similarities() -> None:
    clips, pictures, speech, titles = units(2, D), units(3, D), units(2, 5), units(3, 5)
    for texts, weight in (((speech, titles), 0.5), ((speech, titles), 0.0), ((None, None), 0.5)):
        actual = score(clips, pictures, texts[0], texts[1], weight)
        for n in range(2):
            for m in range(3):
                expected = plain.dot(clips[n].tolist(), pictures[m].tolist())
                if texts[0] is not None:
                    expected += weight * plain.dot(speech[n].tolist(), titles[m].tolist())
                assert float(actual[n, m]) == pytest.approx(expected, abs=1e-6)


def test_pooling_skips_rows_of_zeros() -> None:
    rows = units(1, 3, D)
    rows[0, 1] = 0
    expected = plain.unit(plain.mean([rows[0, 0].tolist(), rows[0, 2].tolist()]))
    torch.testing.assert_close(pool(rows)[0], torch.tensor(expected))
