"""A clip encoder of a few numbers, written without PyTorch: mean colours, their mean over frames, n-grams summed up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from shopcue.models.clip import MANIFEST, Manifest, TextInput
from shopcue.models.hub import file_sha256

SIDE, FRAMES, WIDTH, TEXT_DIM = 8, 4, 64, 5
MIDDLE = np.array([90, 128, 160], np.float32)
PLACES = 4
"""Places of a picture along each side."""
MIX = np.random.default_rng(8).normal(size=(WIDTH, TEXT_DIM)).astype(np.float32)


def write_clip_folder(folder: Path, *, places: bool = True, **changes: Any) -> Path:
    """Write the folder and return it; places: whether it tells what is where; changes: of fields of the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    node, kinds = onnx.helper.make_node, onnx.TensorProto
    save: dict[str, tuple[list[Any], list[tuple[str, int, list[Any]]], dict[str, Any]]] = {
        "frames": (
            [
                node("Cast", ["pixels"], ["float"], to=kinds.FLOAT),
                node("Sub", ["float", "middle"], ["centred"]),
                node("ReduceMean", ["centred", "sides"], ["rows"], keepdims=0),
            ],
            [("pixels", kinds.UINT8, ["n", SIDE, SIDE, 3])],
            {"middle": MIDDLE, "sides": np.array([1, 2])},
        ),
        "clip": (
            [
                node("Cast", ["there"], ["mask"], to=kinds.FLOAT),
                node("Unsqueeze", ["mask", "last"], ["wide"]),
                node("Mul", ["frames", "wide"], ["kept"]),
                node("ReduceSum", ["kept", "first"], ["rows"], keepdims=0),
            ],
            [("frames", kinds.FLOAT, ["n", FRAMES, 3]), ("there", kinds.BOOL, ["n", FRAMES])],
            {"last": np.array([2]), "first": np.array([1])},
        ),
        "text": (
            [node("MatMul", ["ngrams", "mix"], ["rows"])],
            [("ngrams", kinds.FLOAT, ["n", WIDTH])],
            {"mix": MIX},
        ),
    }
    for part, (nodes, inputs, constants) in save.items():
        length = [
            node("ReduceL2", ["rows", "one"], ["length"], keepdims=1),
            node("Max", ["length", "least"], ["safe"]),
            node("Div", ["rows", "safe"], ["vectors"]),
        ]
        constants |= {"one": np.array([1]), "least": np.array([1e-12], np.float32)}
        dim = TEXT_DIM if part == "text" else 3
        outputs = [onnx.helper.make_tensor_value_info("vectors", kinds.FLOAT, ["n", dim])]
        if part == "frames" and places:
            length += _place_nodes()
            constants |= {"cells": np.array([0, 3, PLACES * PLACES]), "deep": np.array([2])}
            outputs += [
                onnx.helper.make_tensor_value_info("places", kinds.FLOAT, ["n", PLACES * PLACES, 3]),
                onnx.helper.make_tensor_value_info("attention", kinds.FLOAT, ["n", PLACES * PLACES]),
            ]
        graph = onnx.helper.make_graph(
            [*nodes, *length],
            part,
            [onnx.helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
            outputs,
            [onnx.numpy_helper.from_array(value, key) for key, value in constants.items()],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
        onnx.save(model, str(folder / f"{part}.onnx"))
    files = {f"{name}.onnx": file_sha256(folder / f"{name}.onnx") for name in save}
    text = TextInput("ngrams", TEXT_DIM, width=WIDTH)
    manifest = Manifest(files, SIDE, "squash", FRAMES, 3, text, 0.5, {"data": "drawn"})
    (folder / MANIFEST).write_text(replace(manifest, **changes).to_json(), encoding="utf-8")
    return folder


def _place_nodes() -> list[Any]:
    """The mean colours of the places, of unit length, and the softmax of how far from the middle each is."""
    node, side = onnx.helper.make_node, SIDE // PLACES
    return [
        node("Transpose", ["centred"], ["planes"], perm=[0, 3, 1, 2]),
        node("AveragePool", ["planes"], ["pooled"], kernel_shape=[side, side], strides=[side, side]),
        node("Reshape", ["pooled", "cells"], ["columns"]),
        node("Transpose", ["columns"], ["colours"], perm=[0, 2, 1]),
        node("ReduceL2", ["colours", "deep"], ["far"], keepdims=1),
        node("Max", ["far", "least"], ["safely_far"]),
        node("Div", ["colours", "safely_far"], ["places"]),
        node("ReduceL2", ["colours", "deep"], ["distance"], keepdims=0),
        node("Softmax", ["distance"], ["attention"], axis=1),
    ]
