"""The command line: thin faces of functions that a program can call as well.

Exit 0: done. Exit 2: bad input, with one line `error: ...` on stderr that says what came, what was expected and what to
do. Exit 1: a fault of ours. Answers go to stdout, everything else to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

import shopcue
from shopcue.cli_catalogs import catalogs
from shopcue.errors import ScoreError, SettingsError, ShopcueError
from shopcue.exports import one_line
from shopcue.progress import ProgressLines

_CommandLineError: Any = typer.BadParameter.__mro__[2]
"""What typer raises for every mistake on the command line; it exports it under no name of its own."""

app = typer.Typer(
    name="shopcue",
    help="Finds which product of a shop is on screen in a video or a live stream, and when.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
evaluations = typer.Typer(help="Score predictions against the truth, by a named protocol.", no_args_is_help=True)
app.add_typer(evaluations, name="eval")
app.add_typer(catalogs, name="catalog")

Video = Annotated[Path, typer.Argument(metavar="VIDEO", help="The video file.", show_default=False)]
CatalogFeed = Annotated[
    str,
    typer.Option(
        metavar="FEED|STORE",
        help="The shop's products: CSV, TSV, JSONL, Merchant XML, Shopify, a picture folder; or a store, by --shop.",
        show_default=False,
    ),
]
StoredShop = Annotated[
    str | None, typer.Option(metavar="NAME", help="The shop in a store that `shopcue catalog import` filled.")
]
Speech = Annotated[
    str, typer.Option(metavar="auto|none|FILE", help="Recognise speech, go without, or read a .vtt or .srt file.")
]
Comments = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Viewers' comments: JSONL, chat-downloader JSON or danmaku XML.")
]
Config = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A TOML file of settings; see docs/configuration.md.")
]
Data = Annotated[Path, typer.Option(metavar="DIR", help="The folder of the data set.", show_default=False)]
Encoder = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="The image encoder to judge: ONNX, or a checkpoint.")
]
ClipModel = Annotated[
    Path | None,
    typer.Option("--model", metavar="DIR|FILE", help="What to judge: a clip encoder, a checkpoint, an image encoder."),
]
WithSpeech = Annotated[
    bool, typer.Option("--speech/--no-speech", help="Hold what is said against titles, or compare pictures alone.")
]
QueryVectors = Annotated[
    Path | None, typer.Option("--queries", metavar="FILE", help="Instead of a model: an .npz of the queries' vectors,")
]
GalleryVectors = Annotated[
    Path | None, typer.Option("--gallery", metavar="FILE", help="and one of the gallery's, each with ids and vectors.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Finds which product of a shop is on screen in a video or a live stream, and when."""
    if version:
        typer.echo(f"shopcue {shopcue.__version__}")
        raise typer.Exit


@app.command()
def match(
    video: Video,
    catalog: CatalogFeed,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the results.", show_default=False)],
    speech: Speech = "auto",
    comments: Comments = None,
    method: Annotated[
        str, typer.Option(metavar="auto|one-stage|two-stage", help="How products are found in a frame.")
    ] = "auto",
    shop: StoredShop = None,
    config: Config = None,
) -> None:
    """Find which product of a feed is on screen in a video, and when."""
    from shopcue import commands

    with ProgressLines() as progress:
        matched = commands.match(
            video,
            catalog,
            out,
            speech=speech,
            comments=comments,
            method=method,
            shop=shop,
            config=config,
            update=progress.update,
            note=progress.note,
        )
    for line in commands.summary(matched):
        typer.echo(line)
    typer.echo(f"report: {out / 'report.html'}")


@app.command()
def search(
    queries: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE|CLIP...", help="Photos, or short clips, to look up.", show_default=False),
    ],
    catalog: CatalogFeed,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many products to name.")] = 10,
    as_json: AsJson = False,
    shop: StoredShop = None,
    speech: Speech = "auto",
    config: Config = None,
) -> None:
    """Find the products of a feed that a photo or a clip shows."""
    from shopcue import commands

    with ProgressLines() as progress:
        for answer in commands.search(
            queries,
            catalog,
            k,
            shop=shop,
            speech=speech,
            config=config,
            update=progress.update,
            note=progress.note,
        ):
            if as_json:
                results = [{"product_id": p, "score": round(score, 6)} for p, score in answer.results]
                typer.echo(json.dumps({"query": answer.query, "results": results}, ensure_ascii=False))
            else:
                typer.echo(one_line(answer.query))
                for product_id, score in answer.results:
                    typer.echo(f"  {score:6.3f}  {one_line(product_id)}")


@evaluations.command("focuses")
def eval_focuses(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="TRUTH PRED...", help="Pairs of truth.json and focuses.json.", show_default=False),
    ],
    as_json: AsJson = False,
) -> None:
    """Score focuses.json files against the truth, all videos together."""
    from shopcue import commands

    if len(files) % 2:
        raise ScoreError(f"{len(files)} files came, expected pairs: TRUTH PRED [TRUTH PRED ...]")
    scores = commands.evaluate_focuses(list(zip(files[::2], files[1::2], strict=True)))
    if as_json:
        typer.echo(json.dumps(asdict(scores)))
        return
    for name, value in asdict(scores).items():
        typer.echo(f"{name:<10} {'-' if value is None else round(value, 3)}")


def _eval_protocol(
    data_set: str,
    data: Path,
    model: Path | None,
    vectors: tuple[Path | None, Path | None],
    as_json: bool,
    *,
    protocol: str | None = None,
    detector: Path | None = None,
    speech: bool = True,
) -> None:
    """Judge a model, or the vectors of (queries, gallery), and print the reports."""
    from shopcue import protocols

    queries, gallery = vectors
    judged: Path | protocols.VectorFiles
    if model is None and queries is not None and gallery is not None:
        judged = protocols.VectorFiles(queries, gallery)
    elif model is not None and queries is None and gallery is None:
        judged = model
    else:
        raise ScoreError("nothing to judge came, or too much; expected --model, or --queries and --gallery together")
    with ProgressLines() as progress:
        reports = protocols.evaluate(
            data_set,
            data,
            judged,
            protocol=protocol,
            detector=detector,
            speech=speech,
            update=progress.update,
            note=progress.note,
        )
    for report in reports:
        for line in [json.dumps(report.document)] if as_json else report.table:
            typer.echo(line)


@evaluations.command("lpr4m")
def eval_lpr4m(
    data: Data,
    model: ClipModel = None,
    queries: QueryVectors = None,
    gallery: GalleryVectors = None,
    protocol: Annotated[
        str, typer.Option(metavar="main|all", help="Search each product's main image, or all its images.")
    ] = "main",
    speech: WithSpeech = True,
    as_json: AsJson = False,
) -> None:
    """LPR4M: recall of the true shop images of a clip among those of its own live, and on the subsets."""
    _eval_protocol("lpr4m", data, model, (queries, gallery), as_json, protocol=protocol, speech=speech)


@evaluations.command("movingfashion")
def eval_movingfashion(
    data: Data,
    model: ClipModel = None,
    queries: QueryVectors = None,
    gallery: GalleryVectors = None,
    protocol: Annotated[
        str, typer.Option(metavar="mteb|rice|seam", help="Who asks, who answers, and what is counted: see the docs.")
    ] = "mteb",
    detector: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For seam: an ONNX detector; the shipped one without.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """MovingFashion: recall of the shop pictures of a video's products, by one of three protocols."""
    _eval_protocol("movingfashion", data, model, (queries, gallery), as_json, protocol=protocol, detector=detector)


@evaluations.command("composed-clips")
def eval_composed_clips(
    data: Data,
    model: ClipModel = None,
    queries: QueryVectors = None,
    gallery: GalleryVectors = None,
    speech: WithSpeech = True,
    as_json: AsJson = False,
) -> None:
    """Clips that were composed: recall of a clip's product among those of its own live, and on the subsets."""
    _eval_protocol("composed-clips", data, model, (queries, gallery), as_json, speech=speech)


@evaluations.command("deepfashion-c2s")
def eval_consumer_to_shop(
    data: Data,
    model: Encoder = None,
    queries: QueryVectors = None,
    gallery: GalleryVectors = None,
    as_json: AsJson = False,
) -> None:
    """DeepFashion consumer-to-shop: recall of the item's shop pictures, on both galleries."""
    _eval_protocol("deepfashion-c2s", data, model, (queries, gallery), as_json)


@evaluations.command("deepfashion2")
def eval_deepfashion2(
    data: Data,
    model: Encoder = None,
    queries: QueryVectors = None,
    gallery: GalleryVectors = None,
    detector: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An ONNX detector that finds the boxes; annotated ones without.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """DeepFashion2: recall of the shop pictures of the same pair and style; an undetected query is a miss."""
    _eval_protocol("deepfashion2", data, model, (queries, gallery), as_json, detector=detector)


@app.command()
def train(
    name: Annotated[str, typer.Argument(metavar="NAME", help="dprnet-retrieval, dprnet-detector or sgmn.")],
    data: Data,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where checkpoint and curves go.", show_default=False)],
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="A TOML file; see docs/train.md.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="What to train on.")] = "auto",
) -> None:
    """Train a network of DPRNet or SGMN on a data set that it was published with; needs the extra `train`."""
    learning = _learning()
    with ProgressLines() as progress:
        done = learning.train(
            name, data, out, config=config, resume=resume, device=device, update=progress.update, note=progress.note
        )
    typer.echo(str(done))


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="What `shopcue train` left.")],
    out: Annotated[
        Path, typer.Option(metavar="PATH", help="The .onnx file to write, a folder for sgmn.", show_default=False)
    ],
) -> None:
    """Write the net of a checkpoint as ONNX, checked against PyTorch; needs the extra `train`."""
    typer.echo(str(_learning().export(checkpoint, out)))


def _learning() -> Any:
    """Return the module that trains; raises SettingsError where PyTorch is not installed."""
    return _extra("shopcue.learning", "train", "training")


def _extra(module: str, extra: str, what: str) -> Any:
    """Return a module that needs what an extra installs; raises SettingsError, which names the extra, without it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{what} needs {error.name}, which is not installed: pip install 'shopcue[{extra}]'"
        ) from error


@app.command()
def explain(
    video: Video,
    catalog: Annotated[
        str, typer.Option(metavar="FEED", help="The shop's products, as `match` takes them.", show_default=False)
    ],
    at: Annotated[
        list[str],
        typer.Option(metavar="SECONDS...", help="Which moments: 30, or 30,62.5, or --at again.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for page and pictures.", show_default=False)],
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another clip encoder: what `shopcue export` wrote of sgmn.")
    ] = None,
    speech: Annotated[
        Path | None, typer.Option(metavar="FILE.vtt", help="What is said in the video: a .vtt or .srt file.")
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="WORDS", help="Or what is said at all of the moments.")] = None,
    span: Annotated[float, typer.Option(metavar="SECONDS", help="How long the clip around a moment is.")] = 10.0,
) -> None:
    """Draw where a frame resembles the product it is taken for, with and without what is said."""
    from shopcue import explanations

    moments_s = [explanations.parse_seconds(part) for each in at for part in each.split(",")]
    with ProgressLines() as progress:
        done = explanations.explain(
            video,
            catalog,
            out,
            model=model,
            at=moments_s,
            speech=speech,
            text=text,
            span_s=span,
            update=progress.update,
        )
    for line in explanations.summary(done):
        typer.echo(line)
    typer.echo(f"page: {done.page}")


@app.command()
def live(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The stream, or a file that plays as one.", show_default=False)
    ],
    catalog: CatalogFeed,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder for the events and the results.")] = None,
    speech: Annotated[str, typer.Option(metavar="auto|none", help="Recognise speech, or go without.")] = "auto",
    comments: Annotated[
        Path | None, typer.Option(metavar="PIPE", help="JSON lines of comments as they come; - for standard input.")
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="auto|one-stage|two-stage", help="How products are found in a frame.")
    ] = "auto",
    speed: Annotated[float, typer.Option(min=0.1, max=1000, help="How fast a file plays.")] = 1.0,
    keep_hours: Annotated[
        float | None, typer.Option(metavar="N", help="Keep the last N hours of the stream in DIR/recording.")
    ] = None,
    shop: StoredShop = None,
    config: Config = None,
) -> None:
    """Watch a live stream and print what it shows as JSON lines, as it happens."""
    from shopcue import watching

    with ProgressLines() as progress:
        watching.live(
            url,
            catalog,
            out,
            tell=lambda line: print(line, flush=True),
            speech=speech,
            comments=comments,
            method=method,
            shop=shop,
            config=config,
            speed=speed,
            keep_hours=keep_hours,
            note=progress.note,
        )


@app.command()
def serve(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of everything that is kept.", show_default=False)
    ],
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen at, 0 for any free one.")] = 8080,
    database: Annotated[
        str, typer.Option(metavar="URL", envvar="SHOPCUE_DATABASE", help="postgresql://...; SQLite in DIR without.")
    ] = "",
    store: Annotated[
        str, typer.Option(metavar="URI", envvar="SHOPCUE_STORE", help="s3://... of the catalogues; in DIR without.")
    ] = "",
    workers: Annotated[int, typer.Option(min=0, max=64, help="How many jobs run at a time.")] = 1,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Also fetch from, and send to, private addresses.")
    ] = False,
    proxies: Annotated[
        str, typer.Option(metavar="ADDRESSES", help="Proxies whose X-Forwarded-For is believed.")
    ] = "127.0.0.1",
    keep_hours: Annotated[
        float, typer.Option(min=0, metavar="N", help="Hours that are kept of each live stream, 0 to record none.")
    ] = 12.0,
    keep_gib: Annotated[
        float, typer.Option(min=0, metavar="N", help="GiB that are kept of each live stream, 0 to record none.")
    ] = 20.0,
    new_admin_token: Annotated[
        bool, typer.Option("--new-admin-token", help="Make another admin token and print it.")
    ] = False,
) -> None:
    """Serve the API and the pages, and do their work; needs the extra `server`."""
    server = _extra("shopcue.server.serve", "server", "serving")
    settings = server.ServerSettings(
        data, host, port, database, store, workers, allow_private, proxies, keep_hours=keep_hours, keep_gib=keep_gib
    )
    server.serve(settings, typer.echo, new_admin_token=new_admin_token)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for everything that is made.")] = Path("demo"),
    duration: Annotated[float, typer.Option(min=10, max=3600, help="Seconds of the show.")] = 90.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws another shop and show.")] = 0,
) -> None:
    """Draw a shop and a show, find the products in it, and score the answer against what was drawn."""
    from shopcue import commands

    with ProgressLines() as progress:
        done = commands.demo(out, duration_s=duration, seed=seed, update=progress.update, note=progress.note)
    for line in commands.summary(done.matched):
        typer.echo(line)
    typer.echo(
        f"against what was drawn: f1_50 {done.scores.f1_50:.2f}, {done.scores.frame_acc:.0%} of the timeline right"
    )
    typer.echo(f"report: {done.report}")


@app.command()
def bench(
    video: Annotated[Path | None, typer.Argument(metavar="[VIDEO]", help="A video; a drawn show without.")] = None,
    catalog: Annotated[Path | None, typer.Option(metavar="FEED", help="Its shop's feed.")] = None,
    truth: Annotated[Path | None, typer.Option(metavar="FILE", help="What it really shows: truth.json.")] = None,
    speech: Annotated[str, typer.Option(metavar="none|FILE", help="Go without speech, or read a .vtt.")] = "none",
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Run each method beside the naive way (whole frame, nearest picture, never none) in one run."""
    from shopcue import commands

    with ProgressLines() as progress:
        contests = commands.bench(video, catalog, truth, speech=speech, config=config, update=progress.update)
    if as_json:
        typer.echo(json.dumps([asdict(contest) for contest in contests]))
        return
    typer.echo(f"{'':<10} {'f1_50':>6} {'frames':>7} {'false/h':>8} {'x real time':>12}")
    for contest in contests:
        s = contest.scores
        typer.echo(f"{contest.name:<10} {s.f1_50:>6.2f} {s.frame_acc:>7.2f} {s.false_h:>8.1f} {contest.speed:>12.1f}")


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the networks, their fingerprints, and where their weights were found."""
    from shopcue import commands

    for model in commands.list_models():
        if as_json:
            typer.echo(json.dumps(asdict(model)))
        else:
            typer.echo(f"{model.name:<12} {model.fingerprint:<44} {model.source}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Pillow warns about odd metadata in strangers' pictures; what matters is in the report of the feed.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        code = app(args=arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except _CommandLineError as error:
        if not error.format_message():  # no command was given: the help has been shown
            return 2
        return _refuse(f"{error.format_message()} See: shopcue --help")
    except ShopcueError as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our answers has left (`| head`): nothing is wrong, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _refuse(message: str) -> int:
    print(f"error: {one_line(message)}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
