#!/usr/bin/python3
"""Tests tools/keras_to_npz.py with files of the shape that Keras 3 gives them, made by h5py. Exits with 77 where that is missing."""

import os
import subprocess
import sys
import tempfile
import zipfile

try:
    import h5py
    import numpy as np
except ImportError as error:
    print("skipped:", error)
    sys.exit(77)

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "keras_to_npz.py")


def run(*arguments):
    return subprocess.run([sys.executable, "-B", SCRIPT, *arguments], capture_output=True, text=True)


def main():
    rng = np.random.default_rng(1)
    layers = {"conv2d": [(3, 3, 1, 4), (4,)], "batch_normalization": [(4,)] * 4, "conv2d_transpose": [(2, 2, 3, 4), (3,)],
              "conv2d_10": [(1, 1, 3, 2), (2,)], "conv2d_2": [(1, 1, 3, 3), (3,)]}
    arrays = {f"{name}/{i}": rng.normal(size=shape).astype(np.float32) for name, shapes in layers.items()
              for i, shape in enumerate(shapes)}
    with tempfile.TemporaryDirectory() as folder:
        h5, npz, keras = (os.path.join(folder, name) for name in ("model.weights.h5", "weights.npz", "model.keras"))
        with h5py.File(h5, "w") as file:
            for name, array in arrays.items():
                layer, number = name.split("/")
                file[f"layers/{layer}/vars/{number}"] = array
            file.create_group("layers/flatten/vars")
            file["layers/dropout/seed_generator/vars/0"] = np.array([0, 1], np.uint32)
            file["optimizer/vars/0"] = np.array(7)
        with zipfile.ZipFile(keras, "w") as archive:
            archive.write(h5, "model.weights.h5")
            archive.writestr("config.json", "{}")
        order = ["conv2d", "batch_normalization", "conv2d_2", "conv2d_10", "conv2d_transpose"]
        for source in (h5, keras):
            for given in (order, []):
                made = run(source, npz, *given)
                assert made.returncode == 0, made.stderr
                loaded = np.load(npz)
                by_name = ["batch_normalization", "conv2d", "conv2d_2", "conv2d_10", "conv2d_transpose"]
                expected = [f"{layer}/{i}" for layer in given or by_name for i in range(len(layers[layer]))]
                assert loaded.files == expected, (loaded.files, expected)
                for name in expected:
                    assert np.array_equal(loaded[name], arrays[name]) and loaded[name].dtype == np.float32, name
        wrong = run(h5, npz, "conv3d")
        assert wrong.returncode == 1 and "no layer 'conv3d'" in wrong.stderr, wrong.stderr
        few = run(h5, npz, "conv2d")
        assert few.returncode == 1 and "not named: batch_normalization" in few.stderr, few.stderr
        with h5py.File(h5, "w") as file:
            file["dense/kernel:0"] = np.zeros(2)
        old = run(h5, npz)
        assert old.returncode == 1 and "of Keras 3?" in old.stderr, old.stderr


main()
