"""As much of dlsys' needle as its adapter in TEACHING.md calls: float32, [n, h, w, c], one square stride and padding."""

import types

import numpy as np


class Tensor:
    def __init__(self, array, *, device=None, dtype=None, requires_grad=True):
        assert dtype in (None, "float32")
        self.data, self.inputs, self.rule, self.grad = np.asarray(array, dtype=np.float32), (), None, None

    @property
    def shape(self):
        return self.data.shape

    def numpy(self):
        return self.data

    def __matmul__(self, other):
        return made(self.data @ other.data, (self, other),
                    lambda dy: (dy @ other.data.T, self.data.T @ dy))

    def sum(self):
        return made(self.data.sum(), (self,), lambda dy: (dy * np.ones_like(self.data),))

    def backward(self, out_grad=None):
        self.grad = out_grad if out_grad is not None else Tensor(np.ones_like(self.data))
        if self.rule is not None:
            for operand, gradient in zip(self.inputs, self.rule(self.grad.data)):
                operand.backward(Tensor(gradient))


def made(array, inputs, rule):
    result = Tensor(array)
    result.inputs, result.rule = inputs, rule
    return result


def conv(x, w, stride=1, padding=1):
    assert w.shape[0] == w.shape[1], "needle's filters are square"
    k, pad = w.shape[0], ((0, 0), (padding, padding), (padding, padding), (0, 0))
    rows, columns = [(size + 2 * padding - k) // stride + 1 for size in x.shape[1:3]]
    padded = np.pad(x.data, pad)

    def window(i, j):
        return slice(None), slice(i, i + (rows - 1) * stride + 1, stride), slice(j, j + (columns - 1) * stride + 1, stride)

    taps = [(i, j) for i in range(k) for j in range(k)]
    y = sum(padded[window(*tap)] @ w.data[tap] for tap in taps)

    def backward(dy):
        dx, dw = np.zeros_like(padded), np.zeros_like(w.data)
        for tap in taps:
            dx[window(*tap)] += dy @ w.data[tap].T
            dw[tap] = np.einsum("nhwc,nhwo->co", padded[window(*tap)], dy)
        return dx[:, padding:padding + x.shape[1], padding:padding + x.shape[2]], dw

    return made(y, (x, w), backward)


ops = types.SimpleNamespace(conv=conv)
