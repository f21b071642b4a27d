"""Backward passes in NumPy as a course would have them, all right. Layouts as tapegrad's."""

import numpy as np


def taps(x, w, strides, padding, dilations, size):
    """For every entry of the filter: its place, and the pixels of the padded image that it meets."""
    (top, bottom), (left, right) = padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            rows = slice(i * dilations[0], i * dilations[0] + (size[0] - 1) * strides[0] + 1, strides[0])
            columns = slice(j * dilations[1], j * dilations[1] + (size[1] - 1) * strides[1] + 1, strides[1])
            yield (i, j), padded, (slice(None), rows, columns)


def conv2d(x, w, strides, padding, dilations):
    size = [(x.shape[1 + k] + sum(padding[k]) - dilations[k] * (w.shape[k] - 1) - 1) // strides[k] + 1 for k in (0, 1)]
    y = np.zeros((x.shape[0], *size, w.shape[3]))
    for place, padded, window in taps(x, w, strides, padding, dilations, size):
        y += padded[window] @ w[place]
    return y


def conv2d_backward(x, w, dy, strides, padding, dilations):
    (top, _), (left, _) = padding
    dw, spread = np.zeros_like(w), None
    for place, padded, window in taps(x, w, strides, padding, dilations, dy.shape[1:3]):
        spread = np.zeros_like(padded) if spread is None else spread
        dw[place] = np.einsum("nhwc,nhwo->co", padded[window], dy)
        spread[window] += dy @ w[place].T
    return spread[:, top:top + x.shape[1], left:left + x.shape[2]], dw


def conv2d_transpose_backward(x, w, dy, strides, padding):
    """The other way round: dy is the large image."""
    dx, dw = conv2d(dy, w, strides, padding, (1, 1)), np.zeros_like(w)
    for place, padded, window in taps(dy, w, strides, padding, (1, 1), x.shape[1:3]):
        dw[place] = np.einsum("nhwc,nhwo->co", padded[window], x)
    return {"dx": dx, "dw": dw}


def matmul_backward(a, b, dy):
    return dy @ b.T, a.T @ dy


def linear_backward(x, w, dout):
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def relu_backward(x, dout):
    return dout * (x > 0)


def softmax_backward(y, dy):
    return y * (dy - (y * dy).sum(axis=1, keepdims=True))


def softmax_cross_entropy(z, labels):
    z = z - z.max(axis=1, keepdims=True)
    return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels])


def softmax_cross_entropy_backward(z, labels, dy):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(z)), labels] -= 1
    return dy * p / len(z)


def normalized(x, axes, epsilon):
    s = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + epsilon)
    return (x - x.mean(axis=axes, keepdims=True)) * s, s


def batch_norm_backward(x, gamma, dy, epsilon):
    axes = tuple(range(x.ndim - 1))
    xhat, s = normalized(x, axes, epsilon)
    d = dy * gamma
    dx = s * (d - d.mean(axis=axes, keepdims=True) - xhat * (d * xhat).mean(axis=axes, keepdims=True))
    return dx, (dy * xhat).sum(axis=axes), dy.sum(axis=axes)


def layer_norm_backward(x, gamma, dy, eps):
    xhat, s = normalized(x, (1,), eps)
    d = dy * gamma
    dx = s * (d - d.mean(axis=1, keepdims=True) - xhat * (d * xhat).mean(axis=1, keepdims=True))
    return dx, (dy * xhat).sum(axis=0), dy.sum(axis=0)


def max_pool2d_backward(x, dy, pool_size, strides):
    dx = np.zeros_like(x)
    for n, p, q, c in np.ndindex(dy.shape):
        h, w = p * strides[0], q * strides[1]
        window = x[n, h:h + pool_size[0], w:w + pool_size[1], c]
        i, j = np.unravel_index(window.argmax(), window.shape)
        dx[n, h + i, w + j, c] += dy[n, p, q, c]
    return dx


def avg_pool2d_backward(x, dy, pool_size, strides):
    dx = np.zeros_like(x)
    for n, p, q, c in np.ndindex(dy.shape):
        h, w = p * strides[0], q * strides[1]
        dx[n, h:h + pool_size[0], w:w + pool_size[1], c] += dy[n, p, q, c] / (pool_size[0] * pool_size[1])
    return dx
