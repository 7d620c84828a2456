"""The words that titles and speech are made of, all our own. Pairs are (English, Chinese)."""

from __future__ import annotations

from collections.abc import Mapping


def _pairs(words: str) -> tuple[tuple[str, str], ...]:
    """Return (English, Chinese) of words that are written "English/Chinese"."""
    return tuple((english, chinese) for english, _, chinese in (word.partition("/") for word in words.split()))


BRANDS = _pairs(
    "Marlowe/慕洛 Solveig/索薇 Tarn/塔恩 Quillon/奎朗 Ostra/奥斯拉 Veldt/维尔特 Hazelby/榛比 Nordane/诺丹 "
    "Kestrel/凯斯 Plumeria/普美 Ashcombe/艾什 Brisa/布丽莎 Calder/卡德 Dovetail/多薇 Elmsley/艾姆 Fennick/芬尼 "
    "Gorse/戈斯 Halyard/哈雅 Isolde/伊索 Jorvik/约维 Lumina/露米 Mistral/米斯 Orrin/欧林 Petrel/佩特"
)

LINES = _pairs(
    "Harbor/海港 Juniper/松果 Meadow/草地 Skyline/天际 Ember/暖炉 Lagoon/泻湖 Orchard/果园 Pebble/卵石 Saffron/番红 "
    "Tundra/冰原 Willow/垂柳 Zephyr/微风 Canyon/峡谷 Drift/漂流 Fable/寓言 Glacier/雪川 Horizon/远方 Indigo/蓝靛 "
    "Jasmine/茉莉 Lantern/灯笼 Maple/枫叶 Nomad/旅人 Opal/欧泊 Prairie/原野 Quarry/石场 Ripple/涟漪 Sonnet/诗行 "
    "Thistle/蓟花 Umber/赭石 Vesper/晚星 Wander/漫步 Clover/四叶 Breeze/清风 Comet/彗星 Dahlia/大丽 Echo/回声"
)

CUTS = _pairs(
    "Classic/经典 Relaxed/宽松 Slim/修身 Everyday/日常 Weekend/周末 Soft/柔软 Light/轻薄 Studio/简约 Heritage/复古 "
    "Travel/旅行 Comfort/舒适 Street/街头"
)

NOUNS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "dress": (("Dress", "连衣裙"), ("Day Dress", "长裙")),
    "hat": (("Hat", "帽子"), ("Cap", "鸭舌帽")),
    "longsleeve": (("Long Sleeve Top", "长袖上衣"), ("Pullover", "套头衫")),
    "outwear": (("Jacket", "外套"), ("Coat", "夹克")),
    "pants": (("Trousers", "长裤"), ("Pants", "裤子")),
    "shirt": (("Shirt", "衬衫"), ("Button Shirt", "衬衣")),
    "shoes": (("Shoes", "鞋子"), ("Pair of Shoes", "单鞋")),
    "shorts": (("Shorts", "短裤"), ("Summer Shorts", "休闲短裤")),
    "skirt": (("Skirt", "半身裙"), ("Short Skirt", "短裙")),
    "t-shirt": (("T-Shirt", "短袖T恤"), ("Tee", "圆领T恤")),
}

COLOURS: Mapping[str, tuple[str, tuple[int, int, int]]] = {
    "Black": ("黑色", (26, 26, 28)),
    "Charcoal": ("炭灰色", (66, 66, 70)),
    "Grey": ("灰色", (128, 128, 130)),
    "Silver": ("浅灰色", (186, 186, 188)),
    "White": ("白色", (236, 236, 234)),
    "Cream": ("米白色", (232, 222, 196)),
    "Beige": ("米色", (204, 184, 152)),
    "Khaki": ("卡其色", (160, 140, 100)),
    "Brown": ("棕色", (104, 70, 46)),
    "Burgundy": ("酒红色", (104, 26, 42)),
    "Red": ("红色", (196, 34, 38)),
    "Coral": ("珊瑚色", (230, 112, 94)),
    "Orange": ("橙色", (230, 124, 34)),
    "Mustard": ("姜黄色", (196, 152, 46)),
    "Yellow": ("黄色", (238, 214, 70)),
    "Olive": ("橄榄绿", (92, 94, 52)),
    "Green": ("绿色", (50, 130, 66)),
    "Mint": ("薄荷绿", (160, 214, 180)),
    "Teal": ("墨绿色", (18, 96, 98)),
    "Turquoise": ("湖蓝色", (60, 178, 186)),
    "Sky Blue": ("天蓝色", (150, 192, 226)),
    "Blue": ("蓝色", (44, 88, 182)),
    "Denim Blue": ("牛仔蓝", (84, 108, 142)),
    "Navy": ("藏青色", (28, 36, 74)),
    "Purple": ("紫色", (104, 54, 134)),
    "Lilac": ("丁香紫", (180, 158, 206)),
    "Pink": ("粉色", (234, 168, 184)),
    "Magenta": ("玫红色", (206, 44, 116)),
}
"""Colours by their English name: the Chinese one, and red, green and blue."""

CHATTER: Mapping[str, tuple[str, ...]] = {
    "en": (
        "hello everybody and welcome back to the stream",
        "tell me in the chat where you are watching from",
        "do not forget to follow so you never miss a show",
        "we ship every order within two days",
        "returns are free for thirty days so there is no risk",
        "there are only a few left in stock",
        "the link is right below the video",
        "I wore mine the whole weekend and loved it",
        "look how nice that is up close",
        "let me bring it a bit nearer to the camera",
        "somebody asked about the size and I will get to that",
        "if you order two the postage is on us",
        "thank you for the hearts you are the best",
        "the quality for this price is really something",
        "my sister ordered three of these last week",
        "wait let me move the light a little",
        "this is what everyone has been asking for",
        "you can pay when it arrives",
        "I will show you the back side as well",
        "tonight only there is a coupon on the page",
        "hold on someone is at the door",
        "we had this one sold out in ten minutes last time",
        "it goes with nearly everything you own",
        "feel free to ask me anything in the comments",
        "okay okay we move on in a second",
        "the price goes back up at midnight",
    ),
    "zh": (
        "欢迎新进直播间的宝宝们",
        "喜欢的朋友点点关注不迷路",
        "库存真的不多了拍完就没有了",
        "链接就在下面小黄车里",
        "七天无理由退换大家放心拍",
        "今天下单明天就给你发货",
        "我自己也在穿真的特别好",
        "给大家拉近镜头看一下细节",
        "这个价格只有今天晚上有",
        "问尺码的姐妹等一下我马上讲",
        "满两件包邮哦",
        "谢谢大家的点赞",
        "做工真的没话说你看这个走线",
        "上次补货十分钟就卖完了",
        "我们换个角度再看一看",
        "有什么问题打在公屏上",
        "给大家看一下后面是什么样的",
        "拍的时候记得先领优惠券",
        "平时出门怎么搭配都好看",
        "来小助理把灯光调亮一点",
        "老粉都知道我们家的品质",
        "不要犹豫喜欢就直接拍",
        "送妈妈送朋友都可以",
        "我们倒数五个数上链接",
        "刚才没抢到的宝宝再等一等",
        "好的好的我们马上看下一个",
    ),
}

NAMING: Mapping[str, tuple[str, ...]] = {
    "en": (
        "next up we have the {}",
        "this one here is the {}",
        "have a look at this {}",
        "many of you asked about the {}",
        "so the {} is what I am holding up now",
        "back to the {} for a moment",
        "I really love the {} this season",
        "the {} is number one on the list tonight",
    ),
    "zh": (
        "接下来给大家看这款{}",
        "我手上的这个就是{}",
        "好多人问的{}来了",
        "大家看一下这个{}",
        "今天主推的就是这款{}",
        "再说一下我们的{}",
        "这一件{}真的太好看了",
        "{}就是一号链接",
    ),
}

PASSING: Mapping[str, tuple[str, ...]] = {
    "en": (
        "if you liked the {} last week you will like this too",
        "no the {} comes later tonight",
        "you can combine it with the {} if you want",
    ),
    "zh": ("上次买过{}的朋友一定会喜欢", "{}要等一会儿再讲", "也可以和{}一起搭配"),
}

_SAME_SOUND = (
    "裙群 连联莲 衣依伊医 裤库酷 衬趁称 衫山杉 鞋协斜 帽冒貌 红宏虹洪 蓝兰篮栏 绿率律 白百柏 灰挥辉 黄皇凰 紫子籽 "
    "粉份奋 棕宗踪 色涩瑟 短段断 长常肠 袖秀绣 套讨 半伴办 身深申 牛妞 休修 闲贤咸 青清轻 海嗨 风丰枫峰 花华 星兴腥 "
    "木目 松宋 米迷 浅潜 珊删 橙成程 姜江将 荷和河 墨莫 湖胡壶 天添 玫没梅 丁盯 香湘 夹加家 克刻客 圆园原 领岭 上尚 "
    "下夏 单丹 子紫 头投 经精京 典点 宽款 日入 周洲 末莫 柔揉 软阮 薄博 简剪 约曰月 复付富 古谷骨 旅吕 行型形 舒书叔 "
    "适是式 街接 港岗 果裹 草曹 地第 际记 暖卵 炉卢芦 泻谢 石时实 冰兵 原园 垂捶 柳流 微威薇 峡霞 谷古 漂飘 流留刘 "
    "寓遇 言颜 雪血 川穿 远院 方芳 靛店 茉莫 莉利丽 灯登 笼龙隆 叶业夜 人仁 欧鸥 泊博 野也 场厂 涟连 漪依 诗师 蓟记 "
    "赭者 晚碗 漫慢 步布 四寺 清青 彗会 大达 丽莉 回灰 声生升 慕木 洛落 索锁所 薇威 塔踏 恩嗯 奎葵 朗浪 奥傲 斯丝思 "
    "拉啦 维围 尔耳 特忒 榛真珍 比笔 诺懦 丹单 凯楷 普朴 美每 艾爱 什石 布步 卡咔 德得 多朵 姆母 芬分 尼泥 戈歌 哈铪 "
    "雅哑 露路 林临 佩配"
)

HOMOPHONES: Mapping[str, str] = {group[0]: group[1:] for group in _SAME_SOUND.split()}
"""Characters of titles, and others that sound the same, tones aside."""

SOUND_ALIKE: Mapping[str, tuple[str, ...]] = {
    "shirt": ("shirred", "short"),
    "tee": ("tea", "tees"),
    "t-shirt": ("tea shirt", "teacher"),
    "skirt": ("scared", "squirt"),
    "dress": ("dressed", "trace"),
    "jacket": ("jack it", "jagged"),
    "coat": ("code", "goat"),
    "hat": ("had", "head"),
    "cap": ("cab", "gap"),
    "shoes": ("choose", "shoots"),
    "shorts": ("short", "sorts"),
    "pants": ("pence", "parents"),
    "trousers": ("trousseau", "browsers"),
    "pullover": ("pull over", "pull off her"),
    "sleeve": ("leave", "sleep"),
    "top": ("stop", "tap"),
    "blue": ("blew", "glue"),
    "red": ("read", "rad"),
    "green": ("grain", "grin"),
    "grey": ("great", "gray"),
    "navy": ("nay vee", "knave he"),
    "teal": ("deal", "tile"),
    "white": ("wide", "wight"),
    "black": ("block", "plaque"),
    "brown": ("crown", "braun"),
    "pink": ("ping", "think"),
    "milk": ("mill", "milk's"),
    "juice": ("jews", "choose"),
    "apple": ("a pull", "chapel"),
    "orange": ("arrange", "or inch"),
    "soy": ("soil", "so i"),
    "yoghurt": ("you got", "yo good"),
    "arla": ("are la", "carla"),
    "oatly": ("oddly", "only"),
    "alpro": ("al pro", "all pro"),
    "pear": ("pair", "bear"),
    "peach": ("beach", "pitch"),
    "lime": ("line", "climb"),
    "leek": ("leak", "league"),
}
"""English words, and what a recogniser writes for them."""
