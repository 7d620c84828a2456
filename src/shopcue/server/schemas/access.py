"""Who asks: tokens and sessions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from shopcue.server.schemas.shapes import Incoming, Instant, Name, Outgoing, Role, ShopName


class SignIn(Incoming):
    """A token, to be kept in a cookie."""

    token: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Session(Outgoing):
    """Who asks: shops are those that the token is for, all of them for an admin."""

    name: str
    role: Role
    shops: list[str]


class NewToken(Incoming):
    """A token to be made."""

    name: Name
    role: Role
    shops: list[ShopName] = Field(default=[], max_length=1_000)
    expires_in_days: float | None = Field(default=None, gt=0, le=3_650)


class Token(Outgoing):
    """A token without its secret."""

    token_id: str
    name: str
    role: Role
    shops: list[str]
    created_at: Instant
    expires_at: Instant | None
    used_at: Instant | None
    revoked_at: Instant | None


class MadeToken(Token):
    """A token that was just made; its text is shown this once."""

    token: str


class Tokens(Outgoing):
    """All tokens."""

    tokens: list[Token]
