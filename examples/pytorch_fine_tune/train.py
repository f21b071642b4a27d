#!/usr/bin/python3
"""Trains a small net in PyTorch, has tapegrad train it on, and takes it back: its weights as .pt, and all of it as ONNX.

usage: train.py PROGRAM FOLDER    (PROGRAM is build/release/examples/pytorch_fine_tune)

PyTorch trains on as well, from the same weights: the losses of both must agree to 1e-6, step by step, and so must the loss of the
weights that come back, loaded with load_state_dict(strict=True). Without python3-onnx the second way is left out. Exits with 1 if they do not, with 77 where there is no PyTorch.
"""

import copy
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


def has_onnx():
    try:
        from onnx import numpy_helper  # a folder of that name is not enough
    except ImportError:
        return False
    return numpy_helper is not None


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


def loss_of(model, images, labels):
    model.eval()
    with torch.no_grad():
        return nn.functional.cross_entropy(model(images), labels).item()


def compare(way, ours, theirs, back, kept):
    """Whether all losses agree: of the steps, and of what came back beside what PyTorch trained all the time."""
    print(f"fine-tuned here, {way}:", *(f"{loss:.4f}" for loss in ours))
    print(f"back in PyTorch: {back:.4f}, trained there all the time: {kept:.4f}")
    differences = [abs(a - b) for a, b in zip(ours, theirs)] + [abs(back - kept)]
    print(f"largest difference of {len(differences)} losses: {max(differences):.1e}")
    is_same = all(difference <= 1e-6 for difference in differences)  # max() forgets a NaN
    return len(ours) == STEPS and is_same and ours[-1] < ours[0] / 2


def state_of(file, names):
    """What a file of weights, or a model of ONNX, has under these names."""
    if not file.endswith(".onnx"):
        state = torch.load(file)
        # Names are this library's in its own files: by order they are those of the model.
        return dict(zip(names, state.get("model", state).values()))
    import onnx
    from onnx import numpy_helper

    found = {x.name: torch.from_numpy(numpy_helper.to_array(x).copy()) for x in onnx.load(file).graph.initializer}
    found.update({name: torch.tensor(0) for name in names if name.endswith("num_batches_tracked")})
    return found


def load(file):
    model = Classifier()
    model.load_state_dict(state_of(file, model.state_dict()), strict=True)
    return model


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    weights, exported, data = (os.path.join(folder, name) for name in ("trained.pt", "trained.onnx", "data.npz"))
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
    ways = [("its weights", weights)]
    if has_onnx():
        # In training mode, so that batch norms stay what they are.
        torch.onnx.export(copy.deepcopy(model), images, exported, opset_version=13, training=torch.onnx.TrainingMode.TRAINING,
                          do_constant_folding=False, input_names=["images"], output_names=["logits"],
                          dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}})
        ways.append(("its model as ONNX", exported))
    else:
        print("left out: ONNX, as python3-onnx is not installed")

    passed = True
    for way, file in ways:
        tuned = file.replace("trained", "tuned")
        run = subprocess.run([program, file, data, tuned, str(STEPS)], stdout=subprocess.PIPE, text=True, check=True)
        ours = [float(line) for line in run.stdout.split()]
        kept = load(file)
        theirs = train(kept, images, labels, STEPS)
        passed = compare(way, ours, theirs, loss_of(load(tuned), images, labels), loss_of(kept, images, labels)) and passed
    sys.exit(0 if passed else 1)


main()
