"""A matched video in a shop, for tests of what people do with it."""

from __future__ import annotations

from collections.abc import Sequence

from server.catalogue import stock
from server.conftest import SHOP
from shopcue.database.focuses import put_focuses, save_open
from shopcue.database.videos import add_video, change_video
from shopcue.records import Alternative, Evidence, Focus, Product, Utterance
from shopcue.server.services import Services

SCRIPT = "</script><script>alert(1)</script>"
"""What a stranger may write into a title or a comment."""

COAT = Product(
    "coat", "Red coat", ("a.jpg",), category="Clothes", brand="Oak", price="120 EUR", link="https://shop.example/coat"
)
MUG = Product("mug/1 é", f"Mug {SCRIPT}", ("a.jpg", "b.jpg"), category="Kitchen", link="javascript:alert(1)")
HAT = Product(
    "hat", "连衣裙 hat", ("a.jpg",), category="Clothes", availability="in stock", link="http://shop.example/hat?a=1&b=2"
)
OTHERS = [Product(f"other{n}", f"Other {n}", ("a.jpg",), category="Kitchen") for n in range(20)]
HIDDEN = Product("hidden", "Not shown yet", ("a.jpg",), category="Secret")


def focus(product: Product, start_s: float, end_s: float, score: float = 0.9, *others: tuple[str, float]) -> Focus:
    evidence = Evidence(
        2.5, -0.5, 0.25, (start_s + end_s) / 2, (1.0, 2.0, 30.0, 40.0), (Utterance(start_s, end_s, f"look {SCRIPT}"),)
    )
    return Focus(
        product.product_id, product.title, start_s, end_s, score, evidence, tuple(Alternative(*each) for each in others)
    )


FOUND = [
    focus(COAT, 5, 20, 0.95, ("hat", 0.03)),
    focus(MUG, 25, 40.5, 0.55, ("coat", 0.4), ("hat", 0.02)),
    focus(HAT, 42, 55, 0.7, ("gone", 0.2)),
    focus(COAT, 60, 70, 0.99),
]


def add_matched(
    parts: Services, *, published: bool = False, title: str = f"Show {SCRIPT}", found: Sequence[Focus] = FOUND
) -> str:
    """Stock the shop and put a matched recording into it; returns its id."""
    stock(parts, SHOP, [COAT, MUG, HAT, *OTHERS, HIDDEN])
    with parts.database.write() as session:
        video = add_video(session, SHOP, "recording", title, "/somewhere/private/show.mp4")
        change_video(session, video.video_id, duration_s=80.0, width=640, height=360, published=published)
        put_focuses(session, video, found, {"image": "house-test"}, {p.product_id: p.title for p in (COAT, MUG, HAT)})
        return video.video_id


def add_stream(parts: Services, *, published: bool = True, title: str = "Live") -> str:
    """Put a live stream into the shop; returns its id."""
    with parts.database.write() as session:
        video = add_video(
            session,
            SHOP,
            "stream",
            title,
            "rtmp://10.0.0.1/live/secret-key",
            "https://cdn.example:8443/live/index.m3u8",
        )
        change_video(session, video.video_id, state="live", published=published)
        return video.video_id


def open_focus(parts: Services, video_id: str, product: Product = COAT, start_s: float = 5.0) -> str:
    """Let a product come on screen in a stream; returns the id of the focus."""
    from shopcue.database.videos import get_video

    with parts.database.write() as session:
        found = focus(product, start_s, start_s + 1)
        return save_open(session, get_video(session, video_id), found, media_s=start_s + 1).focus_id
