"""Graph-based cross-domain interaction, eq. 6-16, against plain loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="training is an extra: pip install 'shopcue[train]'")

from torch import Tensor  # noqa: E402

import sgmn_loops as plain  # noqa: E402
from shopcue.nets.sgmn.graphs import Graph, Interaction, Relevance, connections  # noqa: E402

MAKE = torch.Generator().manual_seed(8)
N, L, D = 3, 4, 8
HOLES = torch.tensor([[True] * 4, [True, True, False, True], [False, True, False, False]])

Lists = list[list[bool]]


def units(*shape: int) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, generator=MAKE), dim=-1)


def build(**switches: bool) -> Interaction:
    torch.manual_seed(0)
    net = Interaction(D, L, heads=2, **switches)
    net.eval()
    return net


# ---- eq. 6-12: the graph ---------------------------------------------------------------------------------------


def connected_by_loop(similarity: plain.Rows, k: int, there: list[bool]) -> Lists:
    connected = [[False] * len(similarity[0]) for _ in similarity]
    for b in range(len(similarity[0])):
        column = [similarity[a][b] for a in range(len(similarity)) if there[a]]
        threshold = sorted(column, reverse=True)[min(k, len(column)) - 1] if column else math.inf
        for a in range(len(similarity)):
            connected[a][b] = there[a] and similarity[a][b] >= threshold
    return connected


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.sampled_from([-0.5, 0.0, 0.25, 0.5, 1.0]), min_size=3, max_size=3), min_size=1, max_size=5
    ).flatmap(lambda rows: st.tuples(st.just(rows), st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))),
    st.integers(1, 6),
)
def test_the_best_k_of_each_column_are_connected_and_what_equals_them(
    drawn: tuple[plain.Rows, list[bool]], k: int
) -> None:
    rows, there = drawn
    actual = connections(torch.tensor([rows]), k, torch.tensor([there]))
    assert actual[0].tolist() == connected_by_loop(rows, k, there)
    everyone = [True] * len(rows)
    assert connections(torch.tensor([rows]), k)[0].tolist() == connected_by_loop(rows, k, everyone)


def scores_by_loop(layer: Any, column: plain.Row, there: list[bool]) -> plain.Row:
    """Eq. 10: the mean, plus the mapped scores, each back at the row that it came from."""
    counted = [a for a in range(len(column)) if there[a]]
    rank = sorted(counted, key=lambda a: -column[a]) + [a for a in range(len(column)) if not there[a]]
    descending = [column[a] if there[a] else 0.0 for a in rank]
    mapped = plain.linear(layer.by_rank[2], plain.relu(plain.linear(layer.by_rank[0], [descending])))[0]
    mean = sum(column[a] for a in counted) / max(len(counted), 1)
    back = [0.0] * len(column)
    for place, a in enumerate(rank):
        back[a] = mean + mapped[place]
    return back


def relevance_by_loop(layer: Any, similarity: list[plain.Rows], there: Lists) -> list[plain.Rows]:
    """Eq. 11. Returns R as [n][a][b]."""
    columns = [plain.transposed(each) for each in similarity]
    one = [[scores_by_loop(layer, column, there[n]) for column in columns[n]] for n in range(len(columns))]
    mixed = []
    for n in range(len(one)):
        rows = []
        for b in range(len(one[n])):
            shared = plain.mean([one[m][b] for m in range(len(one))])
            hidden = plain.add(plain.linear(layer.own, [one[n][b]]), plain.linear(layer.others, [shared]))
            rows.append(plain.linear(layer.out, plain.relu(hidden))[0])
        mixed.append(plain.transposed(rows))
    return mixed


@pytest.mark.parametrize("there", [torch.ones(N, L, dtype=torch.bool), HOLES])
def test_relevance_equals_the_loop(there: Tensor) -> None:
    torch.manual_seed(2)
    layer, similarity = Relevance(L, hidden=5), torch.randn(N, L, 3, generator=MAKE)
    expected = relevance_by_loop(layer, similarity.tolist(), there.tolist())
    torch.testing.assert_close(layer(similarity, there), torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_relevance_follows_the_rows_that_scores_came_from() -> None:
    torch.manual_seed(2)
    layer, similarity = Relevance(L), torch.randn(N, L, 2, generator=MAKE)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(layer.scores(similarity[:, order]), layer.scores(similarity)[..., order])


def test_the_pairs_of_a_batch_tell_each_other_of_their_relevance_in_any_order() -> None:
    torch.manual_seed(2)
    layer, similarity = Relevance(L), torch.randn(N, L, 2, generator=MAKE)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(layer(similarity[order]), layer(similarity)[order])
    assert not torch.allclose(layer(similarity[:1]), layer(similarity)[:1])


# ---- eq. 13-16: what is done along it --------------------------------------------------------------------------


def branch_by_loop(
    branch: Any, own: plain.Rows, other: plain.Rows, across: tuple[Any, Any], inside: tuple[Any, Any]
) -> plain.Rows:
    met = plain.layer_norm(branch.after_cross, plain.add(own, plain.attention(branch.cross, own, other, *across)))
    settled = plain.add(met, plain.attention(branch.within, met, met, *inside))
    return plain.add(settled, plain.feed_forward(branch.feed_forward, plain.layer_norm(branch.after_within, settled)))


def graph_by_loop(layer: Any, similarity: list[plain.Rows], k: int, there: Lists) -> tuple[list[Lists], Any]:
    if layer is None:
        return [[[t] * len(each[0]) for t in row] for each, row in zip(similarity, there, strict=True)], None
    connected = [connected_by_loop(each, k, row) for each, row in zip(similarity, there, strict=True)]
    return connected, relevance_by_loop(layer, similarity, there)


def both(first: Lists, second: list[bool]) -> Lists:
    """Pairs of which the column is there, too."""
    return [[x and t for x, t in zip(row, second, strict=True)] for row in first]


def divergence_by_loop(connected: list[Lists], relevance: list[plain.Rows], similarity: list[plain.Rows]) -> float:
    terms = []
    for n in range(len(similarity)):
        for b in range(len(similarity[n][0])):
            rows = [a for a in range(len(similarity[n])) if connected[n][a][b]]
            if rows:
                graph = plain.softmax([relevance[n][a][b] for a in rows])
                every = plain.softmax([row[b] for row in similarity[n]])
                terms.append(sum(p * math.log(p / every[a]) for p, a in zip(graph, rows, strict=True)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("off", ["none", "i2i", "v2v", "cross"])
@pytest.mark.parametrize("mask", [None, HOLES])
@pytest.mark.parametrize("rows_of", ["stacked", "places"])
def test_the_interaction_equals_the_loop(off: str, mask: Tensor | None, rows_of: str) -> None:
    net = build(**({} if off == "none" else {off: False}))
    videos, images = units(N, L, D), units(N, D) if rows_of == "stacked" else units(N, L, D)
    there = (torch.ones(N, L, dtype=torch.bool) if mask is None else mask).tolist()
    videos = videos * torch.tensor(there)[..., None]
    actual = net(videos, images, mask)

    rows, everyone = videos.tolist(), [[True] * L] * N
    stacked = images.tolist() if rows_of == "places" else [[image] * L for image in images.tolist()]
    h_v2i = [plain.matrix(v, i) for v, i in zip(rows, stacked, strict=True)]
    v2i, r_v2i = graph_by_loop(net.v2i, h_v2i, L // 2, there)
    v2v, r_v2v = graph_by_loop(net.v2v, [plain.matrix(v, v) for v in rows], L // 2, there)
    i2i, r_i2i = graph_by_loop(net.i2i, [plain.matrix(i, i) for i in stacked], L // 2, everyone)
    for n in range(N):
        v, i = plain.scaled(rows[n], D**0.5), plain.scaled(stacked[n], D**0.5)
        i2v = plain.transposed(r_v2i[n]) if r_v2i else None
        across = [list(each) for each in zip(*v2i[n], strict=True)]
        images_g = branch_by_loop(net.image_branch, i, v, (across, i2v), (i2i[n], r_i2i[n] if r_i2i else None))
        within = [row if t else [False] * L for row, t in zip(both(v2v[n], there[n]), there[n], strict=True)]
        videos_g = branch_by_loop(
            net.video_branch, v, i, (v2i[n], r_v2i[n] if r_v2i else None), (within, r_v2v[n] if r_v2v else None)
        )
        videos_g = [row if t else [0.0] * D for row, t in zip(videos_g, there[n], strict=True)]
        torch.testing.assert_close(actual.images[n], torch.tensor(images_g), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(actual.videos[n], torch.tensor(videos_g), rtol=1e-3, atol=1e-4)

    if off == "cross":
        assert float(actual.divergence) == 0
    else:
        turned = [[list(column) for column in zip(*each, strict=True)] for each in v2i]
        expected = divergence_by_loop(v2i, r_v2i, h_v2i) + divergence_by_loop(
            turned, [plain.transposed(each) for each in r_v2i], [plain.transposed(each) for each in h_v2i]
        )
        assert float(actual.divergence.detach()) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_graph_without_connection_has_no_relevance() -> None:
    net, similarity = build(), torch.randn(N, L, L, generator=MAKE)
    graph = net._graph(net.v2i, similarity, torch.ones(N, L, dtype=torch.bool), torch.ones(N, dtype=torch.bool))
    assert graph is not None
    assert (graph.relevance[~graph.connected] == 0).all()
    assert (graph.connected.sum(dim=1) == L // 2).all()
    back = graph.transposed.transposed
    assert isinstance(back, Graph)
    assert torch.equal(back.connected, graph.connected)


def test_the_graph_of_equal_pictures_cannot_change_anything() -> None:
    """What the docstring of `graphs` says of the paper's stack: i2i is without effect, whatever it has learnt."""
    net, videos, images = build(), units(N, L, D), units(N, D)
    before = net(videos, images)
    with torch.no_grad():
        assert net.i2i is not None
        for parameter in net.i2i.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=MAKE))
    after = net(videos, images)
    torch.testing.assert_close(after.images, before.images, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after.videos, before.videos)
    places = units(N, L, D)  # which differ, so that it has an effect
    assert (net(videos, places).images - build()(videos, places).images).abs().max() > 1e-3


@pytest.mark.parametrize("off", ["i2i", "v2v", "cross"])
def test_a_graph_that_is_off_leaves_the_rest_as_it_starts(off: str) -> None:
    torch.manual_seed(0)
    every, after_every = Interaction(D, L, heads=2).state_dict(), torch.rand(1)
    torch.manual_seed(0)
    fewer, after_fewer = Interaction(D, L, heads=2, **{off: False}).state_dict(), torch.rand(1)
    assert set(every) > set(fewer)
    assert all(torch.equal(value, every[name]) for name, value in fewer.items())
    assert torch.equal(after_every, after_fewer)


def test_pairs_may_come_in_any_order() -> None:
    net, videos, images = build(), units(N, L, D), units(N, D)
    order = torch.tensor([1, 2, 0])
    straight, mixed = net(videos, images, HOLES), net(videos[order], images[order], HOLES[order])
    torch.testing.assert_close(mixed.videos, straight.videos[order])
    torch.testing.assert_close(mixed.images, straight.images[order])
    torch.testing.assert_close(mixed.divergence, straight.divergence)


def test_a_clip_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="3 frames, expected 4"):
        build()(units(N, 3, D), units(N, D))
