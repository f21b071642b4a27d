#!/usr/bin/python3
"""Converts weights of Keras 3 (model.weights.h5, or the .keras file that holds it) to .npz, for load_weights(..., {.by_order = true}).

usage: keras_to_npz.py FROM TO.npz [LAYER...]

Kernels stay as they are: Keras' layout is tapegrad's. The file does not know the order of its layers: name them in the order of
the model, or have them sorted by name ("conv2d", "conv2d_1", ..., "dense"). Needs h5py (Debian: python3-h5py), no TensorFlow.
"""

import io
import re
import sys
import zipfile

import h5py
import numpy as np


def convert(source, target, layers):
    if zipfile.is_zipfile(source):
        source = io.BytesIO(zipfile.ZipFile(source).read("model.weights.h5"))
    arrays = {}
    with h5py.File(source, "r") as file:  # layers/NAME/vars/0, 1, ...; those of seed generators are no weights
        file.visititems(lambda path, item: arrays.update({path: item[()]}) if isinstance(item, h5py.Dataset) else None)
    found = {}
    for path in sorted(arrays, key=lambda path: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path)]):
        match = re.fullmatch(r"(?:.*/)?layers/(.+)/vars/(\d+)", path)
        if match and "seed_generator" not in path and not path.startswith("optimizer"):
            found.setdefault(match[1], []).append((f"{match[1]}/{match[2]}", arrays[path]))
    for layer in layers:
        if layer not in found:
            sys.exit(f"keras_to_npz.py: {source} has no layer '{layer}'; it has: {', '.join(found)}")
    if layers and len(layers) < len(found):
        sys.exit(f"keras_to_npz.py: these layers are not named: {', '.join(name for name in found if name not in layers)}")
    if not found:
        sys.exit(f"keras_to_npz.py: {source} has no layers with weights: is it of Keras 3?")
    np.savez(target, **dict(pair for layer in layers or found for pair in found[layer]))


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] == "--help":
        sys.exit(__doc__)
    convert(sys.argv[1], sys.argv[2], sys.argv[3:])
