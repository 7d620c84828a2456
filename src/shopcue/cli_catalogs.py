"""`shopcue catalog ...`: feeds are checked and imported, shops listed, cleared and embedded anew."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shopcue.errors import SettingsError
from shopcue.exports import one_line
from shopcue.progress import ProgressLines
from shopcue.settings import Models, read_settings

if TYPE_CHECKING:
    from shopcue.catalog.feeds import ItemReport

catalogs = typer.Typer(help="Look after the products of shops.", no_args_is_help=True)

Feed = Annotated[Path, typer.Argument(metavar="FEED", help="The feed to read.", show_default=False)]
Store = Annotated[
    str, typer.Option(metavar="URI", help="The store: a folder, or s3://bucket/prefix.", show_default=False)
]
Shop = Annotated[str, typer.Option(metavar="NAME", help="The shop: a-z, 0-9 and hyphens.", show_default=False)]
Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A TOML file of settings; see docs/configuration.md.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@catalogs.command("check")
def check(feed: Feed, as_json: AsJson = False) -> None:
    """Read a feed and its pictures, and say what is wrong with which item."""
    from shopcue import commands

    with ProgressLines() as progress:
        items = commands.check_catalog(feed, update=progress.update)
    _print_report(items, as_json)


@catalogs.command("import")
def import_(
    feed: Annotated[
        Path, typer.Argument(metavar="FEED", help="The feed, or a .zip of it with its pictures.", show_default=False)
    ],
    store: Store,
    shop: Shop,
    delete_missing: Annotated[
        bool, typer.Option("--delete-missing", help="At the end delete the products that the feed does not name.")
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Bring a feed into a shop of a store; what is there unchanged is left alone."""
    from shopcue import stores

    with ProgressLines() as progress:
        lines = stores.import_feed(
            feed,
            store,
            shop,
            delete_missing=delete_missing,
            models=_models(config),
            update=progress.update,
            note=progress.note,
        )
        _print_report(lines, as_json)


@catalogs.command("list")
def list_(
    store: Store,
    shop: Annotated[str, typer.Option(metavar="NAME", help="Its products instead of all shops.")] = "",
    q: Annotated[str, typer.Option(metavar="WORDS", help="Each in the title, brand, category or id.")] = "",
    category: Annotated[str, typer.Option(metavar="NAME", help="In it or below it: 'Clothes > Coats'.")] = "",
    brand: Annotated[str, typer.Option(metavar="NAME", help="Exactly as it is written.")] = "",
    availability: Annotated[str, typer.Option(metavar="TEXT", help="Exactly as it is written.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the shops of a store, or the products of one of them."""
    from shopcue import stores

    if not shop:
        for found in stores.list_shops(store):
            counts = f"{found.products:>8} products {found.pictures:>8} pictures"
            typer.echo(json.dumps(asdict(found)) if as_json else f"{found.shop:<24} {counts}  {found.encoder}")
        return
    for product in stores.list_products(store, shop, q=q, category=category, brand=brand, availability=availability):
        if as_json:
            typer.echo(json.dumps(asdict(product), ensure_ascii=False))
        else:
            typer.echo("\t".join(map(one_line, (product.product_id, product.price, product.title))))


@catalogs.command("remove")
def remove(
    store: Store,
    shop: Shop,
    product_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="The products to remove.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove the shop with all its products.")] = False,
) -> None:
    """Remove products from a shop, or the shop."""
    from shopcue import stores

    if everything == bool(product_ids):
        raise SettingsError("name the products to remove, or give --all to remove the shop; one of the two")
    if everything:
        stores.remove_shop(store, shop)
        typer.echo(f"removed the shop {one_line(shop)}")
        return
    ids = list(dict.fromkeys(product_ids or ()))
    typer.echo(f"removed {stores.remove_products(store, shop, ids)} of {len(ids)} products")


@catalogs.command("reindex")
def reindex(store: Store, shop: Shop, config: Config = None) -> None:
    """Embed the pictures of a shop anew, after the encoder has changed; can be stopped and goes on where it was."""
    from shopcue import stores

    with ProgressLines() as progress:
        stores.reindex(store, shop, models=_models(config), update=progress.update)


def _print_report(items: Iterable[ItemReport], as_json: bool) -> None:
    counts: Counter[str] = Counter()
    for item in items:
        counts[item.status] += 1
        if as_json:
            typer.echo(json.dumps(asdict(item), ensure_ascii=False))
        elif item.status != "ok":
            typer.echo(f"{item.status:<8} row {item.row}  {one_line(item.product_id)}: {one_line(item.reason)}")
    if not as_json:
        typer.echo(", ".join(f"{counts[status]} {status}" for status in ("ok", "partial", "refused")))


def _models(config: Path | None) -> Models | None:
    return None if config is None else read_settings(config).models
