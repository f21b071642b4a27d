#!/usr/bin/python3
"""Trains a small net in PyTorch, has tapegrad train it on, and takes it back.

usage: train.py PROGRAM FOLDER    (PROGRAM is build/release/examples/pytorch_fine_tune)

PyTorch trains on as well, from the same weights: the losses of both must agree to 1e-6, step by step, and so must the loss of the
weights that come back, loaded with load_state_dict(strict=True). Exits with 1 if they do not, with 77 where there is no PyTorch.
"""

import os
import subprocess
import sys

try:
    import numpy as np
    import torch
    from torch import nn
except ImportError as error:
    print("skipped:", error)
    sys.exit(77)

STEPS = 10


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.BatchNorm2d(6), nn.MaxPool2d(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(54, 16), nn.Tanh(), nn.Linear(16, 3))

    def forward(self, x):
        return self.head(self.features(x))


def train(model, images, labels, steps):
    sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(steps):
        sgd.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        losses.append(loss.item())
        loss.backward()
        sgd.step()
    return losses


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    weights, data, tuned = (os.path.join(folder, name) for name in ("trained.pt", "data.npz", "tuned.pt"))
    torch.manual_seed(1)
    # Images of three kinds: a bright row, a bright column, a bright corner; with noise.
    labels = torch.arange(60) % 3
    images = torch.rand(60, 1, 8, 8)
    images[labels == 0, 0, 3] += 1
    images[labels == 1, 0, :, 4] += 1
    images[labels == 2, 0, :3, :3] += 1

    model = Classifier()
    print("trained in PyTorch:", *(f"{loss:.4f}" for loss in train(model, images, labels, 5)))
    torch.save({"model": model.state_dict(), "epoch": 5}, weights)
    np.savez(data, images=images.numpy(), labels=labels.numpy().astype(np.int32))

    run = subprocess.run([program, weights, data, tuned, str(STEPS)], stdout=subprocess.PIPE, text=True, check=True)
    ours = [float(line) for line in run.stdout.split()]
    theirs = train(model, images, labels, STEPS)
    print("fine-tuned here:   ", *(f"{loss:.4f}" for loss in ours))
    differences = [abs(a - b) for a, b in zip(ours, theirs)]

    back = Classifier()
    state = torch.load(tuned)
    # Names are this library's there: by order they are those of the model.
    back.load_state_dict(dict(zip(back.state_dict(), state.values())), strict=True)
    back.eval()
    model.eval()
    with torch.no_grad():
        losses = [nn.functional.cross_entropy(net(images), labels).item() for net in (back, model)]
    print(f"back in PyTorch: {losses[0]:.4f}, trained there all the time: {losses[1]:.4f}")
    differences.append(abs(losses[0] - losses[1]))
    print(f"largest difference of {len(differences)} losses: {max(differences):.1e}")
    is_same = all(difference <= 1e-6 for difference in differences)  # max() forgets a NaN
    sys.exit(0 if len(ours) == STEPS and is_same and ours[-1] < ours[0] / 2 else 1)


main()
