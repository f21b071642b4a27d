"""What PyTorch says of weights that tapegrad wrote: tests/exchange/pytorch_proof_test.cpp calls this.

usage: pytorch_proof.py FOLDER

For each model, FOLDER/NAME.pt must be loaded with load_state_dict(strict=True), and its results for x must be y (NAME.npz, images
NCHW) within 1e-6. What PyTorch then saves is FOLDER/NAME.back.pt. Exits with 77 where there is no PyTorch.
"""

import os
import sys

try:
    import numpy as np
    import torch
    from torch import nn
except ImportError as error:
    print("skipped:", error)
    sys.exit(77)

MODELS = {
    "dense": lambda: nn.Sequential(nn.Linear(5, 3)),
    "dense_without_bias": lambda: nn.Sequential(nn.Linear(5, 3, bias=False)),
    "conv2d": lambda: nn.Sequential(nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0))),
    "conv2d_dilated": lambda: nn.Sequential(nn.Conv2d(2, 5, 3, dilation=(2, 1))),
    "conv2d_grouped": lambda: nn.Sequential(nn.Conv2d(4, 6, 3, groups=2, bias=False)),
    "depthwise": lambda: nn.Sequential(nn.Conv2d(3, 6, (2, 3), groups=3)),
    "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, (3, 2), stride=2)),
    "transposed_padded": lambda: nn.Sequential(nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1)),
    "transposed_grouped": lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2, dilation=2, bias=False)),
    "batch_norm": lambda: nn.Sequential(nn.BatchNorm2d(4)),
    "layer_norm": lambda: nn.Sequential(nn.LayerNorm(5)),
    "group_norm": lambda: nn.Sequential(nn.GroupNorm(2, 6)),
    "embedding": lambda: nn.Sequential(nn.Embedding(6, 3)),
    "classifier": lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                                        nn.Linear(18, 6), nn.Dropout(0.5), nn.Linear(6, 4)),
    "decoder": lambda: nn.Sequential(nn.Linear(4, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Unflatten(1, (2, 2, 3)),
                                     nn.ConvTranspose2d(2, 1, 3, stride=2)),
}


def check(folder, name):
    model = MODELS[name]()
    model.load_state_dict(torch.load(os.path.join(folder, name + ".pt")), strict=True)
    model.eval()
    arrays = np.load(os.path.join(folder, name + ".npz"))
    x = torch.from_numpy(arrays["x"])
    with torch.no_grad():
        y = model(x.long() if name == "embedding" else x).numpy()
    if y.shape != arrays["y"].shape:
        return f"PyTorch's result has the shape {y.shape}, ours {arrays['y'].shape}"
    error = np.max(np.abs(y - arrays["y"]) / np.maximum(1, np.abs(y)))
    torch.save(model.state_dict(), os.path.join(folder, name + ".back.pt"))
    print(f"{name}: {error:.1e}")
    return None if error <= 1e-6 else f"the results differ by {error}"


def main():
    folder = sys.argv[1]
    failures = [f"{name}: {failure}" for name in MODELS for failure in [check(folder, name)] if failure]
    sys.exit("\n".join(failures) if failures else 0)


main()
