"""Who may do what."""

from __future__ import annotations

from starlette.testclient import TestClient


def test_a_token_says_who_asks(seller: TestClient) -> None:
    assert seller.get("/api/session").json() == {"name": "Sam", "role": "seller", "shops": ["corner"]}
