"""Examples that a trained model is asked about: arrays, pictures and folders, through Python and the command line."""

import contextlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image

import bpfree
from bpfree.cli.commands.application import run
from bpfree.data.splits import split
from bpfree.errors import InputError
from bpfree.runs.model import evaluate
from tests.inputs.case import Case
from tests.inputs.pictures import RNG, write

ECHO = f"{Path(__file__).with_name('echo.py')}:Echo"
SMALL = {"epochs": 1, "net": "mlp", "hidden": "2", "meter": "none", "threads": 1, "val_fraction": 0.25}
PAIRS = RNG.integers(0, 256, (12, 1, 1, 2), dtype=np.uint8)  # gray pictures of 2x1 pixels, for two classes
PIXELS = RNG.integers(0, 256, (12, 1, 1, 3), dtype=np.uint8)  # colour pictures of one pixel, for three classes
TRAINED = split(torch.arange(12) % 2, 0.25, 0)[0]  # rows of PAIRS that are not held out
DEEP = np.array([[[300, 500]], [[400, 65535]]], np.uint16)


def trained(root: Path, x: Any, classes: int = 2, **settings: Any) -> Path:
    """The run of a rule that echoes its input, on arrays or a name of data."""
    data = x if isinstance(x, str) else (x, np.arange(len(x)) % classes)
    bpfree.train(ECHO, data, out=root / "run", callbacks=(), **{**SMALL, **settings})
    return root


def on_pictures(pictures: Any, names: str = "ab", **settings: Any) -> Callable[[Path], Path]:
    """Train on a folder of pictures, six of each class."""

    def make(root: Path) -> Path:
        write(root / "data", {f"train/{name}/{i}.png": pictures[i] for name in names for i in range(6)})
        return trained(root, f"folder:{root / 'data'}", **settings)

    return make


def scores(x: Any, **options: Any) -> Callable[[Path], Any]:
    """What the net sees of ``x``, an array or the name of a file in the folder."""
    return lambda root: bpfree.load(root / "run").predict(root / x if isinstance(x, str) else x, **options).numpy()


def command(*arguments: str) -> Callable[[Path], list[str]]:
    """Lines that ``bpfree predict`` prints, notes behind them; ``{root}`` in a word is the folder."""

    def read(root: Path) -> list[str]:
        out, err = io.StringIO(), io.StringIO()
        words = [word.format(root=root) for word in arguments]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(["predict", str(root / "run"), *words])
        if code:
            raise InputError(err.getvalue().splitlines()[-1])
        return [*out.getvalue().splitlines(), *err.getvalue().splitlines()]

    return read


def with_files(make: Callable[[Path], Path], files: Mapping[str, Any], **options: Any) -> Callable[[Path], Path]:
    """A trained run with further files beside it."""
    return lambda root: write(make(root), files, **options)


def with_array(make: Callable[[Path], Path], x: Any) -> Callable[[Path], Path]:
    """A trained run with arrays beside it: ``x.npy``, or ``x.npz`` of several by name."""

    def written(root: Path) -> Path:
        np.savez(root / "x.npz", **x) if isinstance(x, dict) else np.save(root / "x.npy", x)
        return make(root)

    return written


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    return exif


def cases() -> list[Case]:
    floats = PAIRS / np.float32(255)
    signed, wide = floats * 2 - 1, PAIRS.astype(np.float32)
    two = PAIRS[:2]
    gray, colour = PAIRS[:6, 0], PIXELS[:6, 0][:, None].reshape(6, 1, 1, 3)
    sixteen = [DEEP[0], DEEP[1], *[np.full((1, 2), 9, np.uint16)] * 4]
    clear = np.array([[[10, 20, 30, 0]]], np.uint8)
    on_bytes, on_floats = (lambda root: trained(root, PAIRS)), (lambda root: trained(root, floats))
    on_signed, on_wide = (lambda root: trained(root, signed)), (lambda root: trained(root, wide))
    on_gray, on_colour = on_pictures(gray), on_pictures(colour, "abc")
    on_deep, on_black = on_pictures(sixteen), on_pictures(colour, "abc", background="black")
    behind = {"x.png": clear}
    brightness = two.reshape(2, 2) / 255
    far = (
        f"note: x holds values from {two.min() * 1e3:.3g} to {two.max() * 1e3:.3g}, and training saw floats from "
        f"{floats[TRAINED].min():.3g} to {floats[TRAINED].max():.3g}: scale x alike"
    )

    def value(expected: Any) -> Callable[[Path], Any] | str:
        return expected if isinstance(expected, str) else lambda root: expected

    def python(name: str, make: Any, read: Any, expected: Any) -> Case:
        return Case(f"predict: {name}", "load().predict", make, read, value(expected))

    def typed(name: str, make: Any, read: Any, expected: Any) -> Case:
        return Case(f"predict: {name}", "predict", make, read, value(expected))

    return [
        python("bytes, trained on bytes", on_bytes, scores(two), brightness),
        python("a tensor of bytes", on_bytes, scores(torch.from_numpy(two)), brightness),
        python("a nested list of floats", on_bytes, scores((two / 255).tolist()), brightness),
        python("floats in 0..1, trained on bytes", on_bytes, scores(two / 255), brightness),
        python("floats in 0..255, trained on bytes", on_bytes, scores(two * 1.0), "this model was trained on bytes"),
        python(
            "floats in -1..1, trained on bytes", on_bytes, scores(two / 127.5 - 1), "this model was trained on bytes"
        ),
        python("bytes, trained on floats in 0..1", on_floats, scores(two), brightness),
        python("bytes, trained on floats in -1..1", on_signed, scores(two), "trained on floats from -"),
        python("bytes, trained on floats in 0..255", on_wide, scores(two), "--input-scale or predict(x, transform=…)"),
        python(
            "bytes with a transform, trained on floats in -1..1",
            on_signed,
            scores(two, transform=lambda x: x / 127.5 - 1),
            brightness * 2 - 1,
        ),
        python(
            "one example without its first axis",
            lambda root: trained(root, PIXELS.reshape(12, 3, 1, 1), 3),
            scores(PIXELS[0].reshape(3, 1, 1)),
            "one example is x[None]",
        ),
        python("NaN", on_bytes, scores(np.full((1, 1, 1, 2), np.nan)), "row 0 holds NaN or infinity"),
        python(
            "16-bit gray, trained on 16 bits",
            with_files(on_deep, {"x.png": DEEP[0]}),
            scores("x.png"),
            DEEP[0] / 65535,
        ),
        python(
            "8-bit gray, trained on 16 bits",
            with_files(on_deep, {"x.png": two[0, 0]}),
            scores("x.png"),
            brightness[:1],
        ),
        python(
            "16-bit gray, trained on 8 bits",
            with_files(on_gray, {"x.png": DEEP[1]}),
            scores("x.png"),
            DEEP[1] / 65535,
        ),
        python("transparent, over white", with_files(on_colour, behind), scores("x.png"), np.ones((1, 3))),
        python(
            "transparent, over black as in training", with_files(on_black, behind), scores("x.png"), np.zeros((1, 3))
        ),
        python(
            "turned by EXIF",
            with_files(on_gray, {"x.png": gray[0]}, exif=turned()),
            scores("x.png"),
            gray[0, :, ::-1] / 255,
        ),
        python(
            "gray, trained on colour",
            with_files(on_colour, {"x.png": gray[0, :, :1]}),
            scores("x.png"),
            np.full((1, 3), gray[0, 0, 0] / 255),
        ),
        python(
            "colour, trained on gray",
            with_files(on_gray, {"x.png": np.tile(colour[0], (1, 2, 1))}),
            scores("x.png"),
            np.asarray(Image.fromarray(np.tile(colour[0], (1, 2, 1))).convert("L")) / 255,
        ),
        python(
            "another size",
            with_files(on_gray, {"x.png": np.zeros((2, 2), np.uint8)}),
            scores("x.png"),
            "x.png is 2x2 pixels but a picture in training is 2x1",
        ),
        python("a float TIFF", with_files(on_gray, {"x.tif": np.zeros((1, 2), np.float32)}), scores("x.tif"), "mode F"),
        python(
            "a picture, trained on a table",
            with_files(lambda root: trained(root, RNG.random((12, 2))), {"x.png": gray[0]}),
            scores("x.png"),
            "x.png is a picture, and this model was trained on examples of (2)",
        ),
        python(
            "pictures of Pillow's, one with a palette",
            on_colour,
            scores(
                [Image.fromarray(colour[0]), Image.fromarray(colour[0]).convert("P", palette=Image.Palette.ADAPTIVE)]
            ),
            np.tile(colour[0].reshape(1, 3) / 255, (2, 1)),
        ),
        python("a picture of Pillow's, of another size", on_gray, scores(Image.new("L", (3, 1))), "is 3x1 pixels but"),
        python("a .npy file", with_array(on_bytes, two), scores("x.npy"), brightness),
        python("x of a .npz file", with_array(on_bytes, {"x": two, "z": [1]}), scores("x.npz"), brightness),
        python(
            "a .npz file without x",
            with_array(on_bytes, {"a": two, "b": two}),
            scores("x.npz"),
            "holds a, b: expected an array x",
        ),
        typed(
            "a folder",
            with_files(on_colour, {f"new/{n}.png": np.uint8([[c]]) for n, c in (("r", [9, 0, 0]), ("s/b", [0, 0, 9]))}),
            command("{root}/new"),
            ["r.png\ta", "s/b.png\tc"],
        ),
        typed(
            "a picture of a class with a name",
            with_files(on_colour, {"x.webp": np.uint8([[[0, 255, 0]]])}, lossless=True),
            command("{root}/x.webp"),
            ["b"],
        ),
        typed(
            "a colour picture, trained on gray",
            with_files(on_gray, {"x.png": np.uint8([[[9, 9, 9], [99, 99, 99]]])}),
            command("{root}/x.png"),
            ["b", "note: colour pictures, read as gray as in training: 1 of 1"],
        ),
        typed(
            "a picture with what was white, trained on floats",
            with_files(on_wide, {"x.png": gray[0]}),
            command("{root}/x.png", "--input-scale", "255"),
            [str(gray[0, 0].argmax())],
        ),
        typed(
            "a picture without it",
            with_files(on_wide, {"x.png": gray[0]}),
            command("{root}/x.png"),
            "give values as in training, with --input-scale",
        ),
        typed(
            "floats far outside of the range in training",
            with_array(on_floats, two * 1e3),
            command("{root}/x.npy"),
            [*map(str, two.reshape(2, 2).argmax(1)), far],
        ),
        typed("no such file", on_gray, command("{root}/none.png"), "no such file"),
        typed(
            "a folder without pictures",
            with_files(on_gray, {"new/a.txt": b""}),
            command("{root}/new"),
            "holds no picture, but 1 .txt",
        ),
        Case(
            "predict: a folder with the classes in another order",
            "evaluate",
            with_files(
                on_colour,
                {
                    **{f"more/train/{name}/0.png": colour[0] for name in "bc"},
                    "more/test/b/0.png": np.uint8([[[0, 9, 0]]]),
                    "more/test/c/0.png": np.uint8([[[9, 0, 0]]]),
                },
            ),
            lambda root: evaluate(bpfree.load(root / "run"), f"folder:{root / 'more'}", {})["test"],
            lambda root: 0.5,
        ),
        Case(
            "predict: transparent test pictures, over black as in training",
            "evaluate",
            with_files(
                on_pictures(gray, background="black"),
                {
                    **{f"more/train/{name}/0.png": gray[0] for name in "ab"},
                    "more/test/b/0.png": Image.frombytes("LA", (2, 1), bytes([50, 0, 50, 255])),
                },
            ),
            lambda root: evaluate(bpfree.load(root / "run"), f"folder:{root / 'more'}", {})["test"],
            lambda root: 1.0,  # 0 and 50: the second is the larger; over white it would be the first
        ),
        typed(
            "a class that the model does not know",
            with_files(on_colour, {f"more/{part}/{c}/0.png": colour[0] for part in ("train", "test") for c in "cd"}),
            command("--data", "folder:{root}/more"),
            "the model was not trained on the classes d of folder:",
        ),
    ]
