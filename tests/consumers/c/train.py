#!/usr/bin/env python3
"""Python as a second user of the C API, with the standard library alone: trains, saves and loads a net like main.c.

usage: train.py LIBRARY.so [HEADER]     with the header: every function that it declares is found in the library
"""

import ctypes
import os
import re
import sys
import tempfile
import threading
from _ctypes import dlclose

OK, FAILED, TOO_SMALL = 0, 1, 2
RELU = 1
IMAGES, CLASSES = 64, 2
Net = ctypes.c_void_p


class Shape(ctypes.Structure):
    _fields_ = [("rank", ctypes.c_int32), ("sizes", ctypes.c_int64 * 8)]

    def __init__(self, *sizes):
        super().__init__(len(sizes), (ctypes.c_int64 * 8)(*sizes))


class Dense(ctypes.Structure):
    _fields_ = [("in_features", ctypes.c_int64), ("units", ctypes.c_int64), ("activation", ctypes.c_int32),
                ("use_bias", ctypes.c_int32)]


class Conv2D(ctypes.Structure):
    _fields_ = [("in_channels", ctypes.c_int64), ("filters", ctypes.c_int64), ("kernel_size", ctypes.c_int64 * 2),
                ("strides", ctypes.c_int64 * 2), ("dilations", ctypes.c_int64 * 2), ("groups", ctypes.c_int64),
                ("padding", ctypes.c_int32), ("activation", ctypes.c_int32), ("use_bias", ctypes.c_int32)]


class Adam(ctypes.Structure):
    _fields_ = [(name, ctypes.c_double) for name in ("learning_rate", "beta1", "beta2", "epsilon", "weight_decay")]


def load(path):
    library = ctypes.CDLL(path)
    library.tapegrad_net_new.restype = Net
    library.tapegrad_net_new.argtypes = [ctypes.c_uint64]
    library.tapegrad_net_free.argtypes = [Net]
    library.tapegrad_net_free.restype = None
    library.tapegrad_last_error.restype = ctypes.c_char_p
    library.tapegrad_last_error.argtypes = [Net]
    for name, options in (("dense", Dense), ("conv2d", Conv2D), ("adam", Adam)):
        getattr(library, f"tapegrad_{name}_default").restype = options
        use = getattr(library, f"tapegrad_use_{name}" if options is Adam else f"tapegrad_add_{name}")
        use.argtypes = [Net, ctypes.POINTER(options)]
    floats, shape = ctypes.POINTER(ctypes.c_float), ctypes.POINTER(Shape)
    library.tapegrad_add_flatten.argtypes = [Net]
    library.tapegrad_set_threads.argtypes = [Net, ctypes.c_int32]
    library.tapegrad_save_weights.argtypes = library.tapegrad_load_weights.argtypes = [Net, ctypes.c_char_p]
    library.tapegrad_run.argtypes = [Net, floats, shape, floats, ctypes.c_size_t, shape]
    library.tapegrad_train_cross_entropy.argtypes = [Net, floats, shape, ctypes.POINTER(ctypes.c_int32), shape,
                                                     ctypes.POINTER(ctypes.c_double)]
    return library


class Model:
    """A net that raises what its calls have to say."""

    def __init__(self, library, seed):
        self.calls, self.net = library, library.tapegrad_net_new(seed)
        conv = library.tapegrad_conv2d_default()
        conv.in_channels, conv.filters, conv.kernel_size[0], conv.kernel_size[1], conv.activation = 1, 8, 3, 3, RELU
        self.call("add_conv2d", conv)
        self.call("add_flatten")
        dense = library.tapegrad_dense_default()
        dense.in_features, dense.units = 2 * 2 * 8, CLASSES
        self.call("add_dense", dense)

    def call(self, name, *arguments):
        status = getattr(self.calls, "tapegrad_" + name)(self.net, *arguments)
        if status != OK:
            raise RuntimeError(self.calls.tapegrad_last_error(self.net).decode())

    def run(self, images):
        result = (ctypes.c_float * (IMAGES * CLASSES))()
        self.call("run", images, Shape(IMAGES, 4, 4, 1), result, len(result), None)
        return list(result)

    def free(self):
        self.calls.tapegrad_net_free(self.net)


def stripes():
    images, labels, state = (ctypes.c_float * (IMAGES * 16))(), (ctypes.c_int32 * IMAGES)(), 1
    for i in range(IMAGES):
        labels[i] = i % CLASSES
        for pixel in range(16):
            state = (state * 1664525 + 1013904223) % 2**32
            images[16 * i + pixel] = (state >> 8) / 2**24 + (pixel if labels[i] == 0 else pixel // 4) % 2
    return images, labels


def train(path):
    """The losses of 50 steps, and the results of the net and of another one that its weights were loaded into."""
    library = load(path)
    images, labels = stripes()
    model, losses = Model(library, 1), []
    model.call("set_threads", 2)
    adam = library.tapegrad_adam_default()
    adam.learning_rate = 1e-2
    model.call("use_adam", adam)
    for _ in range(50):
        loss = ctypes.c_double()
        model.call("train_cross_entropy", images, Shape(IMAGES, 4, 4, 1), labels, Shape(IMAGES), ctypes.byref(loss))
        losses.append(loss.value)
    loaded = Model(library, 2)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "weights.safetensors").encode()
        model.call("save_weights", file)
        loaded.call("load_weights", file)
    results = model.run(images), loaded.run(images)
    for wrong in (lambda: model.call("run", images, Shape(IMAGES, 16), None, 0, None),
                  lambda: model.call("load_weights", b"/no/such/file"),
                  lambda: model.call("add_flatten")):
        try:
            wrong()
            sys.exit("what is wrong was not refused")
        except RuntimeError as error:
            assert str(error).startswith("tapegrad_"), error
    shape = Shape()
    assert library.tapegrad_run(model.net, images, Shape(IMAGES, 4, 4, 1), None, 0, shape) == TOO_SMALL
    assert list(shape.sizes[:shape.rank]) == [IMAGES, CLASSES]
    assert library.tapegrad_add_flatten(None) == FAILED
    model.free()
    loaded.free()
    return library, losses, results


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    path = os.path.abspath(sys.argv[1])
    library, losses, results = train(path)
    print(f"loss {losses[0]:g} -> {losses[-1]:g}")
    assert losses[-1] < 0.2 * losses[0], "the loss must fall"
    assert results[0] == results[1], "both nets must give the same bits"

    # Dropped, loaded again, and used by a thread that ends before the library is dropped.
    for _ in range(3):
        dlclose(library._handle)
        again = []
        thread = threading.Thread(target=lambda: again.append(train(path)))
        thread.start()
        thread.join()
        library = again[0][0]
        assert again[0][1:] == (losses, results), "a library that was loaded again must give the same bits"

    if len(sys.argv) == 3:
        with open(sys.argv[2], encoding="utf-8") as file:
            declared = re.findall(r"^TAPEGRAD_C_API\s[^(]*?(\w+)\(", file.read(), re.M)
        assert len(declared) > 25, declared
        for name in declared:
            getattr(library, name)
        print(f"{len(declared)} functions are exported")


main()
