"""Feeds of every layout, with the traps that merchants' files really hold."""

import csv
import gzip
import json
import os
import time
import tracemalloc
from io import StringIO
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopcue.catalog import documents, feeds, tables
from shopcue.catalog.documents import read_json, read_xml
from shopcue.catalog.feeds import MAX_TEXT, Feed, read_feed
from shopcue.errors import FeedError
from shopcue.records import Product


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def ids(feed: Feed) -> list[str]:
    return [product.product_id for product in feed.products]


def reasons(feed: Feed) -> dict[int, str]:
    return {line.row: line.reason for line in feed.report if line.status != "ok"}


# ---- tables ------------------------------------------------------------------------------------------------------


def test_csv_with_every_column(tmp_path: Path) -> None:
    text = (
        "id,title,image_link,additional_image_link,description,category,price,link,brand,availability\n"
        'a,Red dress,images/a.jpg,"images/b.jpg, images/c.jpg","Two\nlines, ""quoted""",Dresses,9.90 EUR,'
        "https://shop.example/a,Acme,in stock\n"
    )
    feed = read_feed(write(tmp_path, "catalog.csv", text))
    assert feed.products == (
        Product(
            product_id="a",
            title="Red dress",
            images=("images/a.jpg", "images/b.jpg", "images/c.jpg"),
            description='Two lines, "quoted"',
            category="Dresses",
            price="9.90 EUR",
            link="https://shop.example/a",
            brand="Acme",
            availability="in stock",
        ),
    )
    assert feed.folder == tmp_path
    assert [(line.row, line.product_id, line.status, line.reason) for line in feed.report] == [(2, "a", "ok", "")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", [".csv", ".txt", ".json", ""])
def test_delimiter_is_told_by_content_not_by_ending(tmp_path: Path, delimiter: str, ending: str) -> None:
    rows = [["id", "title", "image_link"], ["1", "One, two; three", "1.jpg"], ["2", "Zwei", "2.jpg"]]
    text = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    feed = read_feed(write(tmp_path, "feed" + ending, text))
    assert [(p.product_id, p.title, p.images) for p in feed.products] == [
        ("1", "One, two; three", ("1.jpg",)),
        ("2", "Zwei", ("2.jpg",)),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "gb18030"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_and_newlines(tmp_path: Path, encoding: str, newline: str) -> None:
    title = "红色连衣裙" if encoding == "gb18030" else "Crème brûlée à 3,50 für zwölf"
    text = newline.join(["id,title,image_link", f'1,"{title}",1.jpg', ""])
    assert read_feed(write(tmp_path, "f.csv", text, encoding)).products[0].title == title


def test_merchant_tsv_with_spaces_in_its_header(tmp_path: Path) -> None:
    text = (
        "ID\tTitle\tDescription\tLink\tImage Link\tAdditional image link\tGoogle product category\tPrice\n"
        'A-1\t24" monitor\tFlat\thttps://shop.example/1\thttps://img.example/1.jpg\t'
        "https://img.example/w_3,h_4/2.jpg,https://img.example/3.jpg\tElectronics\t99 USD\n"
    )
    product = read_feed(write(tmp_path, "feed.txt", text)).products[0]
    assert product.title == '24" monitor'
    assert product.category == "Electronics"
    assert product.images == (
        "https://img.example/1.jpg",
        "https://img.example/w_3,h_4/2.jpg",
        "https://img.example/3.jpg",
    )


def test_category_prefers_the_shops_own_words(tmp_path: Path) -> None:
    text = "id,title,image_link,google_product_category,product_type\n1,x,1.jpg,Apparel,Summer\n2,y,2.jpg,Apparel,\n"
    assert [p.category for p in read_feed(write(tmp_path, "f.csv", text)).products] == ["Summer", "Apparel"]


SHOPIFY = """\
Handle,Title,Body (HTML),Vendor,Type,Tags,Variant SKU,Variant Price,Image Src,Image Position,Variant Image,Status
mug,Blue mug,"<p>Holds&nbsp;<b>tea</b> &amp; more</p><script>alert(1)</script>",Acme,Mugs,,M1,12.00,https://i.example/2.jpg,2,,active
mug,,,,,,M2,13.00,https://i.example/1.jpg,1,https://i.example/v.jpg,
mug,,,,,,,,https://i.example/10.jpg,10,https://i.example/1.jpg,
old,Old mug,,Acme,Mugs,,O1,5.00,https://i.example/o.jpg,1,,draft
gone,Gone mug,,Acme,Mugs,,O1,5.00,https://i.example/o.jpg,1,,Archived
cup,Cup,,Acme,Mugs,,C1,3.00,https://i.example/c.jpg,1,,active
,Nobody,,,,,,,x.jpg,1,,active
"""


def test_shopify_csv(tmp_path: Path) -> None:
    feed = read_feed(write(tmp_path, "products_export.csv", SHOPIFY))
    mug, cup = feed.products
    assert mug == Product(
        product_id="mug",
        title="Blue mug",
        images=tuple(f"https://i.example/{name}.jpg" for name in ("1", "2", "10", "v")),
        description="Holds tea & more",
        category="Mugs",
        price="12.00",
        brand="Acme",
    )
    assert cup.product_id == "cup"
    assert [(line.row, line.product_id, line.status) for line in feed.report] == [
        (2, "mug", "ok"),
        (5, "old", "refused"),
        (6, "gone", "refused"),
        (7, "cup", "ok"),
        (8, "", "refused"),
    ]
    assert "draft" in reasons(feed)[5]
    assert "archived" in reasons(feed)[6]


def test_newer_shopify_csv(tmp_path: Path) -> None:
    text = (
        "Title,URL handle,Description,Vendor,Type,Price,Product image URL,Image position\nMug,mug,Nice,A,M,4,m.jpg,1\n"
    )
    product = read_feed(write(tmp_path, "f.csv", text)).products[0]
    assert (product.product_id, product.images, product.price, product.description) == ("mug", ("m.jpg",), "4", "Nice")


@pytest.mark.parametrize("header", ["", "image-uri,image-id,product-set-id,product-id,product-category,"
                                    "product-display-name,labels,bounding-poly\n"])  # fmt: skip
def test_vision_product_search_csv(tmp_path: Path, header: str) -> None:
    text = header + (
        'https://i.example/a.jpg,img1,set,p1,apparel-v2,Red coat,"color=red,style=long",\n'
        "https://i.example/2.jpg,,set,p2,apparel-v2,,,\n"
        'https://i.example/3.jpg,,set,p1,apparel-v2,,,"0.1,0.1,0.9,0.1,0.9,0.9,0.1,0.9"\n'
        "https://i.example/3.jpg,,other,p1,apparel-v2,,,\n"
        "gs://bucket/4.jpg,,set,p2,apparel-v2,,,\n"
        "gs://bucket/5.jpg,,set,p3,apparel-v2,Hidden,,\n"
    )
    feed = read_feed(write(tmp_path, "bulk.csv", text))
    coat, other = feed.products
    base = "https://i.example/"
    assert (coat.product_id, coat.title, coat.images) == ("p1", "Red coat", (base + "a.jpg", base + "3.jpg"))
    assert coat.description == "color red,style long"
    assert (other.product_id, other.title, other.images) == ("p2", "p2", (base + "2.jpg",))
    assert [line.status for line in feed.report] == ["ok", "partial", "refused"]
    assert all("is in a bucket" in line.reason for line in feed.report[1:])


# ---- documents ---------------------------------------------------------------------------------------------------


def test_json_lines_report_the_bad_line_and_go_on(tmp_path: Path) -> None:
    lines = [
        json.dumps({"id": 7, "title": "Seven", "image_link": "7.jpg", "additional_image_link": ["a.jpg", "b.jpg"]}),
        "",
        '{"id": "8", "title": "Eight", "image_li',
        "[1, 2]",
        json.dumps({"id": "9", "title": {"en": "Nine"}, "image_link": "9.jpg"}),
        json.dumps({"id": "10", "title": "Ten", "image_link": "10.jpg", "price": 3.5, "stock": {"n": 1}}),
        "[" * 50_000,
    ]
    feed = read_feed(write(tmp_path, "feed.jsonl", "\n".join(lines)))
    assert ids(feed) == ["7", "10"]
    assert feed.products[0].images == ("7.jpg", "a.jpg", "b.jpg")
    assert feed.products[1].price == "3.5"
    assert sorted(reasons(feed)) == [3, 4, 5, 7]
    assert "not JSON" in reasons(feed)[3]
    assert "a list" in reasons(feed)[4]
    assert "title is nested" in reasons(feed)[5]


@pytest.mark.parametrize("indent", [None, 2])
def test_json_list(tmp_path: Path, indent: int | None) -> None:
    items = [{"id": "1", "title": "One", "image_link": "1.jpg"}, {"ID": "2", "Title": "Two", "image link": "2.jpg"}]
    assert ids(read_feed(write(tmp_path, "f.json", json.dumps(items, indent=indent)))) == ["1", "2"]


@pytest.mark.parametrize("indent", [None, 2])
def test_shopify_json(tmp_path: Path, indent: int | None) -> None:
    products = [
        {
            "id": 632910392,
            "handle": "ipod",
            "title": "IPod",
            "body_html": "<strong>8GB</strong><br>small",
            "vendor": "Apple",
            "product_type": "Players",
            "variants": [{"price": "199.00"}, {"price": "209.00"}],
            "images": [
                {"src": "https://i.example/2.png", "position": 2},
                {"src": "https://i.example/1.png", "position": 1},
            ],
            "image": {"src": "https://i.example/1.png"},
        },
        {"id": 2, "title": "Draft", "status": "draft", "images": [{"src": "https://i.example/3.png"}]},
        {"id": 3, "title": "No picture", "images": [], "variants": None},
    ]
    feed = read_feed(write(tmp_path, "products.json", json.dumps({"products": products}, indent=indent)))
    assert feed.products == (
        Product(
            product_id="632910392",
            title="IPod",
            images=("https://i.example/1.png", "https://i.example/2.png"),
            description="8GB small",
            category="Players",
            price="199.00",
            brand="Apple",
        ),
    )
    assert [line.status for line in feed.report] == ["ok", "refused", "refused"]


RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title><link>https://shop.example</link>
<item><title>plain title</title><g:title><![CDATA[Tom &amp; Jerry <3]]></g:title><g:id> t1 </g:id>
  <link>https://shop.example/t1?a=1&amp;b=2</link><g:image_link><![CDATA[https://i.example/t.jpg?x=1&copy=2&amp;z=3]]></g:image_link>
  <g:additional_image_link>https://i.example/u.jpg</g:additional_image_link>
  <g:additional_image_link>https://i.example/v.jpg</g:additional_image_link>
  <g:shipping><g:price>4 EUR</g:price><g:id>inner</g:id></g:shipping><g:price>19 EUR</g:price><g:brand>Acme</g:brand>
  <description>&lt;p&gt;Nice &amp;amp; warm&lt;/p&gt;</description></item>
<item><title>No id</title><g:image_link>x.jpg</g:image_link></item>
</channel></rss>"""


def test_merchant_rss(tmp_path: Path) -> None:
    feed = read_feed(write(tmp_path, "feed.xml", RSS))
    assert feed.products == (
        Product(
            product_id="t1",
            title="Tom & Jerry <3",
            images=("https://i.example/t.jpg?x=1&copy=2&z=3", "https://i.example/u.jpg", "https://i.example/v.jpg"),
            description="Nice & warm",
            price="19 EUR",
            link="https://shop.example/t1?a=1&b=2",
            brand="Acme",
        ),
    )
    assert reasons(feed) == {2: "has no id"}


def test_merchant_atom(tmp_path: Path) -> None:
    text = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><id>tag:feed</id>
    <entry><id>tag:entry</id><g:id>A</g:id><title>Äpfel</title><link href="https://shop.example/A"/><summary>Rot</summary>
    <g:image_link>a.jpg</g:image_link></entry></feed>"""
    for name, encoding in (("a.xml", "utf-8"), ("b.xml", "utf-16")):
        product = read_feed(write(tmp_path, name, text, encoding)).products[0]
        assert (product.product_id, product.title, product.link, product.description) == (
            "A", "Äpfel", "https://shop.example/A", "Rot",
        )  # fmt: skip


def test_folder_of_pictures(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    (shop / "Blue-mug").mkdir(parents=True)
    for name in ("red_wool-coat.jpg", "Blue-mug/10.PNG", "Blue-mug/2.png", ".hidden.jpg", "notes.md", "Blue-mug/x.md"):
        (shop / name).write_bytes(b"")
    (shop / "empty").mkdir()
    feed = read_feed(shop)
    assert [(p.product_id, p.title, p.images) for p in feed.products] == [
        ("Blue-mug", "Blue mug", ("Blue-mug/2.png", "Blue-mug/10.PNG")),
        ("red_wool-coat", "red wool coat", ("red_wool-coat.jpg",)),
    ]
    assert feed.folder == shop


# ---- what is refused, item by item -------------------------------------------------------------------------------


def test_bad_rows_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    text = (
        "id,title,image_link\n,No id,a.jpg\n \u200b ,Unseen id,a.jpg\n3,,a.jpg\n4,No picture,\n5,Good,a.jpg\n"
        "6,Red, white and blue,a.jpg\n\n,,\n7,Short\n" + "8" * 300 + ",Long id,a.jpg\n"
    )
    feed = read_feed(write(tmp_path, "f.csv", text))
    assert ids(feed) == ["5"]
    assert reasons(feed) == {
        2: "has no id",
        3: "has no id",
        4: "has no title",
        5: "has no image_link",
        7: "has 4 cells where the header has 3; quote the cell that holds a delimiter",
        10: "has no image_link",
        11: "has an id of 300 characters, at most 256 are read",
    }


def test_texts_are_bounded_and_cleaned(tmp_path: Path) -> None:
    item = {
        "id": "a\x00b\x1b\u202ec",
        "title": "x" * 5_000,
        "image_link": "a.jpg",
        "additional_image_link": [f"{i}.jpg" for i in range(50)],
        "description": "half \ud800 pair\u2028next \u202eturned",
        "link": "javascript:alert(1)",
    }
    feed = read_feed(write(tmp_path, "f.json", json.dumps([item])))
    product, line = feed.products[0], feed.report[0]
    assert product.product_id == "abc"
    assert len(product.title) == 1_000
    assert len(product.images) == 32
    assert product.link == ""
    assert product.description == "half pair next turned"
    assert line.status == "partial"
    assert all(word in line.reason for word in ("title was cut", "51 pictures", "link"))


@settings(deadline=None)
@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_no_text_can_break_an_output(
    tmp_path_factory: pytest.TempPathFactory, title: str, text: str, link: str
) -> None:
    folder = tmp_path_factory.mktemp("feed")
    item = {"id": "1", "title": "t" + title, "description": text, "link": link, "image_link": "a.jpg"}
    product = read_feed(write(folder, "f.json", json.dumps([item]))).products[0]
    for value in (product.title, product.description, product.link):
        value.encode("utf-8")
        assert value.splitlines() in ([], [value])
    assert not product.link or product.link.lower().startswith(("http://", "https://"))


# ---- what is refused as a whole ----------------------------------------------------------------------------------


def fails(path: Path) -> str:
    with pytest.raises(FeedError) as caught:
        read_feed(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("f.csv", "id,name,image_link\n1,x,a.jpg\n", ["no column title", "'name' meant as title", "'id'"]),
        ("f.csv", "sku,title,img_url\n1,x,a.jpg\n", ["no column id, image_link", "'sku' meant as id", "'img_url'"]),
        ("f.csv", "id,titel,image_link\n1,x,a.jpg\n", ["'titel' meant as title"]),
        ("f.csv", "nothing\n1\n", ["found 'nothing'", "expected id, title, image_link"]),
        ("f.csv", "Handle,Title,Variant Price\na,A,1\n", ["no column image_src"]),
        ("f.json", '[{"id": 1, "title": "x", "picture": "a.jpg"}]', ["no column image_link", "'picture'"]),
        ("f.jsonl", '{"id": 1, "name": "x", "image_link": "a.jpg"}\n', ["no column title", "'name'"]),
        ("f.xml", "<rss><channel><item><id>1</id><title>x</title></item></channel></rss>", ["no column image_link"]),
        ("f.csv", "id,title,image_link\n1,x,a.jpg\n2,y,b.jpg\n1,z,c.jpg\n", ["'1' in row 2 and in row 4"]),
        ("f.csv", "id,title,image_link\n1,x,a.jpg\n1\u200b,y,b.jpg\n", ["in row 2 and in row 3"]),
        ("f.json", '[{"id":1,"title":"x","image_link":"a"},{"id":"1","image_link":"b"}]', ["row 1 and in row 2"]),
        ("f.csv", "id,title,image_link\n1,,a.jpg\n2,,b.jpg\n", ["no usable product", "row 2 1 has no title"]),
        ("f.csv", "id,title,image_link\n", ["no usable product", "no rows"]),
        ("f.csv", "", ["is empty"]),
        ("f.csv", " \n\n", ["is empty"]),
        ("f.csv", 'id,title,image_link\n1,"open,a.jpg\n2,x,b.jpg\n', ["quote in row 2", "never closed"]),
        ("f.csv", 'id,title,image_link\n1,"open' + "x" * 200_000, ["row 2", "quote"]),
        ("f.csv", "id,title,image_link\n1,x," + "y" * 2_100_000, ["line longer"]),
        ("f.json", '{"shop": "x"}', ["no column id", "'shop'"]),
        ("f.json", '{\n"shop": "x"}', ["no list of products"]),
        ("f.json", '[{"id": 1,', ["not JSON"]),
        ("f.json", "[" * 100_000, ["nested"]),
        ("f.json", '[{"id": ' + "9" * 5_000 + "}]", ["not JSON"]),
        ("f.xml", "<rss><channel></channel></rss>", ["without <item>"]),
        ("f.xml", "<rss><item><g:id>1</g:id></item></rss>", ["not well-formed", "unbound"]),
        ("f.xml", "<rss><item>", ["not well-formed"]),
        ("f.xml", "<a>" * 1_000, ["nested deeper"]),
        ("f.xml", "<!DOCTYPE html><html><body>Log in</body></html>", ["web page"]),
        ("f.xlsx", "PK\x03\x04 ...", ["spreadsheet", "CSV"]),
        ("f.csv", "\x1f\x0b", ["is empty"]),
        ("f.csv", "id,title\x00,image_link\n", ["binary"]),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_feed_that_cannot_be_used_says_why(tmp_path: Path, name: str, text: str, words: list[str]) -> None:
    message = fails(write(tmp_path, name, text))
    assert all(word in message for word in words), message


def test_duplicate_ids_in_a_merchant_feed(tmp_path: Path) -> None:
    item = "<item><g:id>1</g:id><title>x</title><g:image_link>a.jpg</g:image_link></item>"
    text = f'<rss xmlns:g="http://base.google.com/ns/1.0"><channel>{item}{item}</channel></rss>'
    assert "'1' in row 1 and in row 2" in fails(write(tmp_path, "f.xml", text))


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><rss><item><title>&b;</title></item></rss>'
    assert "entities" in fails(write(tmp_path, "bomb.xml", bomb))
    secret = write(tmp_path, "secret.txt", "secret")
    leak = f'<!DOCTYPE r [<!ENTITY x SYSTEM "{secret.as_uri()}">]><rss><item><title>&x;</title></item></rss>'
    assert "secret" not in fails(write(tmp_path, "leak.xml", leak))


def test_missing_and_mistaken_paths(tmp_path: Path) -> None:
    assert "does not exist" in fails(tmp_path / "none.csv")
    assert "picture" in fails(write(tmp_path, "a.jpg", "\xff\xd8"))
    packed = tmp_path / "feed.csv.gz"
    packed.write_bytes(gzip.compress(b"id,title,image_link\n", mtime=0))
    assert "gzip" in fails(packed)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no pictures" in fails(empty)
    shop = tmp_path / "shop"
    (shop / "images").mkdir(parents=True)
    (shop / "images" / "a.jpg").write_bytes(b"")
    write(shop, "catalog.csv", "id,title,image_link\n")
    assert "catalog.csv" in fails(shop)


def test_two_pictures_with_one_name_are_a_duplicate_id(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "a.png").write_bytes(b"")
    assert "'a' in row 1 and in row 2" in fails(tmp_path)


def test_rows_and_bytes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "f.csv", "id,title,image_link\n" + "".join(f"{i},x,a.jpg\n" for i in range(11)))
    monkeypatch.setattr(feeds, "MAX_ROWS", 10)
    assert "more than 10 rows" in fails(path)
    monkeypatch.setattr(feeds, "MAX_FEED_BYTES", 50)
    assert "at most 50" in fails(path)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_a_feed_or_a_feed_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("feed") / "feed"
    path.write_bytes(data)
    with pytest.raises(FeedError):
        read_feed(path)


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["id", "title", "image_link", '"', ",", "\t", "{", "[", "<", "\n", "é", "1"])),
        max_size=40,
    )
)
def test_any_table_like_text_gives_a_feed_or_a_feed_error(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("feed") / "feed.csv"
    path.write_text("id,title,image_link\n" + "".join("".join(part) for part in parts), encoding="utf-8")
    try:
        feed = read_feed(path)
    except FeedError:
        return
    assert feed.products


# ---- the same products, however they are written -----------------------------------------------------------------

# Signs that mean something to a table, and anything else that a text may hold and that is kept as it is.
TEXT = st.text(
    st.sampled_from(",;|\t\"'\n =")
    | st.characters(blacklist_categories=("Cc", "Cf", "Cs", "Zl", "Zp"), blacklist_characters="<\ufffd"),
    max_size=30,
)


@settings(deadline=None)
@given(
    texts=st.lists(st.fixed_dictionaries(dict.fromkeys(MAX_TEXT, TEXT)), min_size=1, max_size=5),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_a_csv_writer_writes_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[dict[str, str]],
    delimiter: str,
    quoting: Literal[0, 1],
    newline: str,
    encoding: str,
) -> None:
    rows = [{"id": f"p{i}", "image_link": f"{i}.jpg", **row} for i, row in enumerate(texts)]
    rows.append({**rows[0], "id": "last", "title": "T"})
    out = StringIO(newline="")
    writer = csv.DictWriter(
        out, ["id", "image_link", *MAX_TEXT], delimiter=delimiter, lineterminator=newline, quoting=quoting
    )
    writer.writeheader()
    writer.writerows(rows)
    feed = read_feed(write(tmp_path_factory.mktemp("feed"), "f", out.getvalue(), encoding))
    expected = [
        Product(
            product_id=row["id"],
            images=(row["image_link"],),
            **{name: " ".join(row[name].split()) for name in MAX_TEXT},
        )
        for row in rows
        if row["title"].split()
    ]
    assert list(feed.products) == expected
    assert [line.status for line in feed.report] == ["ok" if row["title"].split() else "refused" for row in rows]


@pytest.mark.parametrize("wrapped", [False, True])
def test_json_is_the_same_wherever_its_blocks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    items = [{"id": i, "title": f'Tïtle "{i}" [,]', "image_link": f"{i}.jpg", "price": 10.5 + i} for i in range(12)]
    before = {"count": 12, "shop": {"products": [1]}, "products": items, "next": None}
    text = json.dumps(before if wrapped else items, indent=1, ensure_ascii=False)
    path = write(tmp_path, "f.json", text)
    for block in range(60, 240, 3):
        monkeypatch.setattr(documents, "MAX_LINE", 2 * block)
        found = [(item.texts["id"], item.texts["title"], item.texts["price"]) for item in read_json(path, "utf-8")]
        assert found == [(str(item["id"]), item["title"], str(item["price"])) for item in items]


def test_numbers_are_not_cut_where_a_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_LINE", 8)
    path = write(tmp_path, "f.json", "[12345, 67890, 1]")
    assert [item.refusal for item in read_json(path, "utf-8")] == [
        "is a number; expected an object with id, title and image_link"
    ] * 3


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_the_line_that_excel_writes_above_the_header(tmp_path: Path, sign: str) -> None:
    text = f"sep={sign}\r\n" + sign.join(["id", "title", "image_link"]) + "\r\n" + sign.join(["1", "x", "1.jpg"])
    feed = read_feed(write(tmp_path, "f.csv", text))
    assert ids(feed) == ["1"]
    assert feed.report[0].row == 2


# ---- damage ------------------------------------------------------------------------------------------------------


def test_a_quote_that_swallows_other_rows_is_not_silent(tmp_path: Path) -> None:
    text = 'id\ttitle\timage_link\n1\t"Big mug\t1.jpg\n2\tCup\t2.jpg\n3\t"Old" pot\t3.jpg\n4\tCan\t4.jpg\n'
    message = fails(write(tmp_path, "feed.tsv", text))
    assert "quote in row 2" in message
    assert "3 lines" in message


def test_one_broken_character_does_not_turn_the_others_into_nonsense(tmp_path: Path) -> None:
    titles = ["红色连衣裙", "蓝色大衣", "Crème brûlée"]
    text = "id,title,image_link\n" + "".join(f"{i},{title},{i}.jpg\n" for i, title in enumerate(titles))
    data = text.encode().replace("衣".encode(), "衣".encode()[:2], 1)  # as a cut in the middle of a character leaves it
    path = tmp_path / "f.csv"
    path.write_bytes(data)
    feed = read_feed(path)
    assert [product.title for product in feed.products] == ["红色连\ufffd裙", *titles[1:]]
    assert [line.status for line in feed.report] == ["partial", "ok", "ok"]
    assert "replaced" in feed.report[0].reason


def test_an_id_or_a_path_with_broken_characters_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    rows = ["id,title,image_link", "红色,红色连衣裙,红.jpg", "蓝?,蓝色大衣,2.jpg", "3,蓝色大衣,蓝?.jpg", ""]
    path.write_bytes("\n".join(rows).encode().replace(b"?", b"\xe7"))
    feed = read_feed(path)
    assert ids(feed) == ["红色"]
    assert "not text" in feed.report[1].reason
    assert "no address may hold" in feed.report[2].reason


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("s3://bucket/a.jpg", "neither http(s)"),
        ("file:///etc/passwd", "neither http(s)"),
        ("data:image/png;base64,AAAA", "neither http(s)"),
        ("gs://bucket/a.jpg", "in a bucket"),
        ("a\nb.jpg", "characters"),
        ("a\ud800.jpg", "characters"),
        ("https://i.example/" + "x" * 5_000, "5,018 characters"),
    ],
)
def test_a_picture_that_cannot_be_reached_is_left_out(tmp_path: Path, image: str, words: str) -> None:
    items = [
        {"id": "1", "title": "One", "image_link": image, "additional_image_link": "b.jpg"},
        {"id": "2", "title": "Two", "image_link": image},
    ]
    feed = read_feed(write(tmp_path, "f.json", json.dumps(items)))
    assert [product.images for product in feed.products] == [("b.jpg",)]
    assert [line.status for line in feed.report] == ["partial", "refused"]
    assert all(words in line.reason for line in feed.report)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One<br>two</p><ul><li>3</ul>", "One two 3"),
        ("<STYLE>p {}</STYLE>seen<script>if (a<b) hide()</script > too", "seen too"),
        ("seen<script>never closed", "seen"),
        ("a <!-- said --> b &lt;c&gt; &amp;amp;", "a b <c> &amp;"),
        ("<style><script></style>seen", "seen"),
        ("5 < 6 and 7 > 4", "5 < 6 and 7 > 4"),
    ],
)
def test_descriptions_are_what_a_browser_shows(tmp_path: Path, html: str, text: str) -> None:
    item = {"id": "1", "title": "x", "image_link": "a.jpg", "description": html}
    assert read_feed(write(tmp_path, "f.json", json.dumps([item]))).products[0].description == text


# ---- bounds ------------------------------------------------------------------------------------------------------


def test_hostile_mark_up_costs_little_time(tmp_path: Path) -> None:
    text = "<script" * 6_000 + "<b>"
    items = [{"id": i, "title": "x", "image_link": "a.jpg", "description": text} for i in range(20)]
    path = write(tmp_path, "f.json", json.dumps(items))
    started_s = time.process_time()
    read_feed(path)
    assert time.process_time() - started_s < 4  # if every start looked for its end, it would be 20


@pytest.mark.parametrize("layout", ["xml", "json"])
def test_a_document_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    monkeypatch.setattr(documents, "MAX_LINE", 100_000)
    items = [{"id": i, "title": "x", "image_link": "a.jpg", "description": "word " * 500} for i in range(4_000)]
    path = tmp_path / layout
    if layout == "xml":
        texts = ("".join(f"<{k}>{v}</{k}>" for k, v in item.items()) for item in items)
        path.write_text("<rss><channel>" + "".join(f"<item>{text}</item>" for text in texts) + "</channel></rss>")
    else:
        path.write_text(json.dumps({"products": items}))
    tracemalloc.start()
    count = sum(1 for _ in (read_xml(path) if layout == "xml" else read_json(path, "utf-8")))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 4_000
    assert peak_bytes < path.stat().st_size / 8


def test_what_lies_between_the_items_of_a_document_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_ITEM_BYTES", 200_000)
    assert "200,000 bytes" in fails(write(tmp_path, "a.xml", "<rss><channel>" + "<a/>" * 100_000))
    assert "200,000 bytes" in fails(write(tmp_path, "b.xml", "<rss><item><title>" + "x" * 300_000))
    monkeypatch.setattr(documents, "MAX_LINE", 10_000)
    item = {"id": "1", "title": "x", "image_link": "a.jpg", "description": "x" * 30_000}
    assert "at most 10,000 characters" in fails(write(tmp_path, "f.json", json.dumps([item], indent=1)))


@pytest.mark.parametrize("header", ["Handle,Title,Image Src\n", "id,title,image_link\n"])
def test_rows_without_an_item_of_their_own_are_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    monkeypatch.setattr(tables, "MAX_ROWS", 10)
    row = "a,A,a.jpg\n" if header.startswith("Handle") else "\n"
    assert "more than 10 rows" in fails(write(tmp_path, "f.csv", header + row * 11))


def test_reasons_are_bounded(tmp_path: Path) -> None:
    item = {"id": "1", "title": "x", "image_link": ["a.jpg", *(f"s3://b/{i}" for i in range(1_000))]}
    feed = read_feed(write(tmp_path, "f.json", json.dumps([item])))
    assert feed.products[0].images == ("a.jpg",)
    assert len(feed.report[0].reason) <= feeds.MAX_REASON


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(b"id,title,image_link\n1,x,a.jpg\n", mtime=0), "gzip"),
        (b"PK\x03\x04\x14\x00", "spreadsheet"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "binary"),
        ("id,title,image_link".encode("utf-16-le"), "binary"),
        (b'[{"id": 1}] [{"id": 2}]', "goes on after"),
        (b'{\n"products": [{"id": 1} {"id": 2}]}', "','"),
        (b'{\n"products"', "the end of the file"),
    ],
)
def test_files_that_are_no_feeds_are_named(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "feed"
    path.write_bytes(data)
    assert words in fails(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "feed.csv")
    assert "not a regular file" in fails(tmp_path / "feed.csv")
