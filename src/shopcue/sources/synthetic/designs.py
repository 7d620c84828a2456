"""The goods that can be drawn: invented brands, each with a shape, a palette, a layout and a way with letters."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from shopcue.errors import SettingsError
from shopcue.sources.synthetic.painting import Colour, Lettering, rgb

_KEPT_UNSOLD = 6


@dataclass(frozen=True, slots=True)
class Design:
    """One product as drawn; `paper`, `ink`, `accent` and `fruit` are the colours of its label and illustration.

    shape: a key of `packages.SHAPES`. layout: a key of `labels.LAYOUTS`. motif: a key of `motifs.MOTIFS`.
    """

    brand: str
    name: str
    size: str
    price: str
    category: str
    description: str
    shape: str
    layout: str
    motif: str
    paper: Colour
    ink: Colour
    accent: Colour
    fruit: Colour
    wordmark: Lettering

    @property
    def product_id(self) -> str:
        """What names the product in the feed and in the truth."""
        return "-".join(re.findall("[a-z0-9]+", f"{self.brand} {self.name}".lower()))

    @property
    def title(self) -> str:
        """The product's full name: brand, name and size."""
        return f"{self.brand} {self.name} {self.size}"


_SOFT = Lettering(weight=0.035, slant=0.18)
_BLACK = Lettering(weight=0.075, capitals=True)
_WIDE = Lettering(weight=0.02, stretch=1.15, tracking=0.22, capitals=True)
_THIN = Lettering(tracking=0.12)
_TALL = Lettering(weight=0.05, stretch=0.68, capitals=True)
_ROUND = Lettering(weight=0.065, stretch=1.05)
_SPORT = Lettering(weight=0.06, slant=0.3, stretch=1.1, capitals=True)

# brand | name | size | price | category | shape | layout | motif | paper ink accent fruit | lettering | description
_TABLE: tuple[tuple[str, Lettering], ...] = (
    ("Solvane|Orange Juice|1 l|2.49 EUR|Juice|gable|bloom|citrus|#fff6e4 #0f5a3c #f58a1f #f58a1f|"
     "Pressed from ripe oranges with all of their pulp.", _SOFT),
    ("Solvane|Apple Juice|1 l|2.29 EUR|Juice|gable|bloom|apple|#f3f8e2 #0f5a3c #7fb32f #9cc23c|"
     "Cloudy juice of early garden apples, nothing added.", _SOFT),
    ("Dermalune|Rose Face Cream|50 ml|18.90 EUR|Skin care|cream|minimal|flower|#fbeff1 #6a2340 #d97a9c #d65c8a|"
     "A light day cream with rose water for dry skin.", _THIN),
    ("Kaffaro|Espresso Roast|500 g|8.95 EUR|Coffee|pouch|crest|beans|#221a17 #f1dfc0 #c2402a #6a4028|"
     "Dark beans from high slopes, roasted slowly.", _BLACK),
    ("Havrelund|Oat Drink|1 l|1.99 EUR|Plant drinks|gable|type|grain|#dfe9ee #17324a #2f7fb8 #d9a441|"
     "Creamy oat drink that foams well.", _BLACK),
    ("Olivarra|Extra Virgin Olive Oil|750 ml|9.80 EUR|Oil|oil|crest|olives|#f4edd6 #3a4318 #a88a2c #6b7a2a|"
     "Cold pressed from one grove by the sea.", _WIDE),
    ("Krispello|Paprika Crisps|150 g|1.89 EUR|Snacks|bag|burst|crisps|#d8231f #fff3d6 #ffc21a #e0a24a|"
     "Thin potato crisps with smoked paprika.", _SPORT),
    ("Krispello|Sour Cream Crisps|150 g|1.89 EUR|Snacks|bag|burst|crisps|#1f7a46 #fff8e6 #f4e24a #e6c07a|"
     "Thin potato crisps with sour cream and chives.", _SPORT),
    ("Yunara|Jasmine Green Tea|20 bags|3.40 EUR|Tea|teabox|arch|sprig|#e4f0dc #1d4a3a #c8a24a #5f9a6a|"
     "Green tea scented with night jasmine.", _WIDE),
    ("Stridero|Trail Runner|EU 42|89.00 EUR|Shoes|shoebox|diagonal|shoe|#f2542d #ffffff #20242c #2aa6b8|"
     "Grippy running shoe for wet paths.", _SPORT),
    ("Velluna|Argan Shampoo|300 ml|6.50 EUR|Hair care|pump|minimal|drop|#2f2a5a #f4ecd8 #c9a45c #d9a441|"
     "Shampoo with argan oil for dry hair.", _THIN),
    ("Berrimoor|Strawberry Jam|340 g|3.20 EUR|Spreads|jar|oval|strawberry|#fffaf0 #8a1428 #d6213a #d6213a|"
     "Whole strawberries cooked in small copper pots.", _SOFT),
    ("Berrimoor|Blueberry Jam|340 g|3.20 EUR|Spreads|jar|oval|berries|#fffaf0 #2b2560 #5a4fa8 #4a3a8a|"
     "Wild blueberries cooked in small copper pots.", _SOFT),
    ("Tomasina|Tomato Passata|690 g|1.75 EUR|Sauces|passata|band|tomato|#fdf3e0 #b21f1a #2f7a3a #d8301f|"
     "Sieved summer tomatoes and a leaf of basil.", _TALL),
    ("Fizzaro|Lemon Soda|330 ml|0.99 EUR|Drinks|can|stripes|citrus|#f8e34a #12408a #ffffff #f2c81e|"
     "Sparkling lemonade with the juice of three lemons.", _ROUND),
    ("Fizzaro|Blood Orange Soda|330 ml|0.99 EUR|Drinks|can|stripes|citrus|#f0642c #fff4e0 #8a1a2c #d83a24|"
     "Sparkling drink with blood orange juice.", _ROUND),
    ("Mintura|Fresh Mint Toothpaste|75 ml|2.60 EUR|Oral care|tube|waves|sprig|#ffffff #0a5f8a #19b3a6 #2fae8a|"
     "Fluoride toothpaste with two kinds of mint.", _SPORT),
    ("Purrlo|Salmon Dinner for Cats|400 g|1.49 EUR|Pets|can2|burst|cat|#5a2a82 #fff6d8 #ffb52a #c98a4a|"
     "Tender pieces in jelly for grown cats.", _ROUND),
    ("Ambrelle|Heather Honey|500 g|7.20 EUR|Spreads|honey|oval|honeycomb|#fff4d2 #5a3410 #d98a14 #e8a824|"
     "Thick honey from the heaths of the north.", _SOFT),
    ("Granoluna|Crunchy Muesli|500 g|4.30 EUR|Breakfast|box|bloom|grain|#f6e7cf #7a3414 #e0703a #d9a441|"
     "Baked oats with seeds and a little honey.", _ROUND),
    ("Chocarella|Dark Chocolate 70%|100 g|2.80 EUR|Sweets|bar|diagonal|cocoa|#1f3a36 #f2dcae #d08a3c #5a3420|"
     "Snapping chocolate of single-estate cocoa.", _WIDE),
    ("Marisole|Sardines in Olive Oil|125 g|2.95 EUR|Fish|tin|band|fish|#f7d64a #173a6a #e0472c #3f6f8f|"
     "Six sardines packed by hand.", _TALL),
    ("Klarello|Lime Dish Soap|500 ml|2.10 EUR|Household|soap|waves|drop|#c8ea5a #14532a #ffffff #4aa8d8|"
     "Cuts through grease and is kind to hands.", _ROUND),
    ("Alpvita|Mountain Milk|1 l|1.45 EUR|Dairy|gable|waves|mountain|#f4fafd #12468a #4fa3d8 #3d6a8a|"
     "Milk of cows that graze above the tree line.", _TALL),
    ("Pastavola|Fusilli|500 g|1.25 EUR|Pasta|box|stripes|grain|#123f8c #ffffff #f2c230 #e8b54a|"
     "Bronze-drawn pasta of hard wheat.", _TALL),
    ("Lumeterra|Sunscreen SPF 50|100 ml|14.50 EUR|Skin care|tube|type|sunburst|#ffd23f #d8431f #ffffff #f08a1a|"
     "Light lotion with high protection.", _BLACK),
    ("Nutrello|Cocoa Hazel Spread|400 g|3.90 EUR|Spreads|jar|band|cocoa|#f9ece0 #4a2414 #c8341f #5a3420|"
     "Smooth spread with a quarter of hazelnuts.", _ROUND),
    ("Yunara|Berry Infusion|20 bags|3.40 EUR|Tea|teabox|arch|berries|#f3dde6 #5a163a #c8a24a #7a2a6a|"
     "Hibiscus and dark berries, without caffeine.", _WIDE),
    ("Petalia|Peony Hand Cream|75 ml|7.90 EUR|Skin care|tube|oval|flower|#cfe3dc #2a4a48 #e58fa0 #e8788a|"
     "Hand cream with shea butter and peony.", _SOFT),
    ("Brewnal|Alpine Water|500 ml|0.89 EUR|Drinks|water|minimal|mountain|#eaf6fb #0d4f86 #48a9d8 #3d6a8a|"
     "Still water from a deep spring.", _WIDE),
    ("Tropello|Mango Nectar|200 ml|0.79 EUR|Juice|brick|burst|sunburst|#ff9f1c #6a1b4d #fff1c9 #ffcf3f|"
     "Thick mango nectar for the lunch box.", _ROUND),
    ("Vinterro|Rye Crackers|220 g|2.35 EUR|Snacks|box|type|leaf|#3b4a3f #f1e6cf #d98e4a #c9a24a|"
     "Crisp rye with sea salt.", _BLACK),
)  # fmt: skip


def _read(row: str, wordmark: Lettering) -> Design:
    brand, name, size, price, category, shape, layout, motif, palette, description = row.split("|")
    paper, ink, accent, fruit = map(rgb, palette.split())
    return Design(
        brand, name, size, price, category, description, shape, layout, motif, paper, ink, accent, fruit, wordmark
    )


DESIGNS: tuple[Design, ...] = tuple(_read(row, wordmark) for row, wordmark in _TABLE)


def choose(count: int, seed: int) -> tuple[tuple[Design, ...], tuple[Design, ...]]:
    """Return the designs that a shop sells and those that it does not.

    The shop sells brands whole, twins first, so that telling two flavours apart is part of the job; no unsold design
    shares a brand with a sold one unless the shop is so large that it must. Raises SettingsError.
    """
    most = len(DESIGNS) - _KEPT_UNSOLD
    if not 1 <= count <= most:
        raise SettingsError(f"a drawn shop of {count} products was asked for, expected 1 to {most}")
    brands: dict[str, list[Design]] = {}
    for design in DESIGNS:
        brands.setdefault(design.brand, []).append(design)
    order = [str(brand) for brand in np.random.default_rng(seed).permutation(sorted(brands))]
    twins = next(brand for brand in order if len(brands[brand]) > 1)
    order.sort(key=lambda brand: brand != twins)
    queue = [design for brand in order for design in brands[brand]]
    sold, rest = queue[:count], queue[count:]
    sold_brands = {design.brand for design in sold}
    strangers = [design for design in rest if design.brand not in sold_brands]
    return tuple(sold), tuple(strangers or rest)
