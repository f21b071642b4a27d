"""Training steps of the tutorial's autoencoder and of the wide one, beside the best that PyTorch makes of them."""
import json
import os
import statistics

from comparisons.common import number, ratio, rows, run, say, table
from comparisons.machine import processor

NETS = ("tutorial", "wide")
BATCHES = (128, 512)
LAYOUTS = ("contiguous", "channels_last")


class Torch:
    """PyTorch, and which of its settings is the fastest for a net, a batch and a number of threads.

    Compilation takes a minute each: it is tried with the allocator that is the fastest without. A file keeps what was found.
    """

    def __init__(self, places, file=None):
        self.place, self.version = None, "not installed"
        for place in places:  # the newest, which a chroot has, counts
            version = place.torch()
            if version:
                self.place, self.version = place, version
        self.compiles = self.place is not None and int(self.version.split(".")[0]) >= 2
        self.best = {}
        self.file = file
        if file and os.path.exists(file):
            with open(file, encoding="utf-8") as kept:
                for where, key, setting in json.load(kept):
                    if where == self.where():
                        self.best[tuple(key)] = tuple(setting)

    def where(self):
        return f"{self.version}, {processor()}"

    def keep(self):
        if self.file:
            with open(self.file, "w", encoding="utf-8") as kept:
                json.dump([(self.where(), key, setting) for key, setting in self.best.items()], kept, indent=1)

    def measure(self, key, setting, seconds):
        """A row of torch_autoencoder.py, or None where PyTorch cannot do it."""
        net, batch, threads = key
        layout, allocator, compiled = setting
        words = ["/usr/bin/python3", self.place.program("torch_autoencoder.py"), "--nets", net, "--batches", str(batch), "--threads",
                 str(threads), "--layouts", layout, "--rounds", "1", "--seconds", str(seconds)]
        text = self.place.try_to(words + (["--compile", "max-autotune"] if compiled else []),
                                 self.place.allocators()[allocator])
        return rows(text)[0] if text else None

    def choose(self, key, seconds):
        """Tries all settings, and keeps the fastest."""
        if key in self.best:
            return
        def try_all(settings):
            speeds = {}
            for setting in settings:
                row = self.measure(key, setting, seconds)
                if row:
                    speeds[setting] = float(row["images_per_s"])
            return speeds
        speeds = try_all([(layout, allocator, False) for layout in LAYOUTS for allocator in self.place.allocators()])
        if self.compiles:
            allocator = max(speeds, key=speeds.get)[1]
            speeds |= try_all([(layout, allocator, True) for layout in LAYOUTS])
        self.best[key] = max(speeds, key=speeds.get)
        say(f"PyTorch {self.version}, {key[0]}, batch {key[1]}, {key[2]} thread(s): " +
            "; ".join(f"{setting_name(setting)} {speed:,.0f}" for setting, speed in speeds.items()))
        self.keep()


def setting_name(setting):
    layout, allocator, compiled = setting
    return f"{layout}, {allocator}{', max-autotune' if compiled else ''}"


def ours(options, key, flags=()):
    net, batch, threads = key
    return json.loads(run([os.path.join(options.build, "tools", "bench_autoencoder"), "--net", net, "--batch", str(batch), "--threads",
                           str(threads), "--seconds", str(options.seconds), *flags]))


def measure(options, torch, peak, keys):
    """(what, net, batch, threads) -> lists of what the rounds brought."""
    found = {}
    for turn in range(options.rounds):
        say(f"steps: round {turn + 1} of {options.rounds}")
        for key in keys:
            peak.measure(seconds=0.05)
            found.setdefault(("chunks", *key), []).append(ours(options, key))
            if key[1] == 128:
                found.setdefault(("plain", *key), []).append(ours(options, key, ["--plain"]))
            if torch.place:
                row = torch.measure(key, torch.best[key], options.seconds)
                if row:
                    found.setdefault(("torch", *key), []).append({name: float(row[name]) for name in ("images_per_s", "rss_mib")})
    return found


def median(found, what, key, name):
    values = found.get((what, *key))
    return statistics.median(value[name] for value in values) if values else None


def fastest(found, what, key):
    """Images per second of the fastest step: where neighbours disturb a machine, it tells what the median cannot."""
    return max(value["images_per_s_best"] for value in found[(what, *key)])


def theirs(found, key):
    """PyTorch's images per second: with as many threads, or with fewer where that is faster; and with how many."""
    net, batch, threads = key
    speeds = {count: median(found, "torch", (net, batch, count), "images_per_s") for count in range(1, threads + 1)}
    speeds = {count: speed for count, speed in speeds.items() if speed}
    fastest = max(speeds, key=speeds.get, default=None)
    return speeds.get(fastest), fastest


def steps(options, context):
    torch, peak = Torch(context.places, options.torch_settings), context.peak
    keys = [(net, batch, threads) for net in NETS for threads in sorted({1, options.threads}) for batch in BATCHES]
    if torch.place:
        for key in keys:
            torch.choose(key, min(options.seconds, 0.5))
    found = measure(options, torch, peak, keys)
    lines = []
    for key in keys:
        peer, peer_threads = theirs(found, key)
        for what, name in (("chunks", "in chunks"), ("plain", "one tape")):
            speed = median(found, what, key, "images_per_s")
            if speed is None:
                continue
            at_the_peak = peak.gflops * 1e9 * key[2] / found[(what, *key)][0]["flops_per_image"]
            lines.append([key[0], str(key[2]), str(key[1]), name, number(speed), number(speed / at_the_peak, 2),
                          number(fastest(found, what, key) / at_the_peak, 2),
                          f"{number(peer)} ({peer_threads})" if peer else "-", number(ratio(speed, peer), 1),
                          f"{number(median(found, what, key, 'peak_rss_mib'))} / {number(median(found, 'torch', key, 'rss_mib'))}",
                          number(1e3 * median(found, what, key, "startup_s"))])
    table(f"Training steps (PyTorch {torch.version}: in brackets with how many threads; peak {peak.gflops:.0f} GFLOP/s a core):",
          ["net", "threads", "batch", "how", "images/s", "of the peak", "fastest step", "PyTorch's best", "ratio", "MiB: ours / PyTorch",
           "start to first step, ms"], lines)
    for net in NETS:
        flops = found["chunks", net, BATCHES[0], 1][0]["flops_per_image"]
        print(f"{'' if net != NETS[0] else chr(10)}A step of the {net} net takes {flops / 2e6:.2f} million multiplications an image: "
              f"at the peak of a core {peak.gflops * 1e9 / flops:,.0f} images/s.")
    for key, setting in torch.best.items():
        print(f"PyTorch's best, {key[0]}, batch {key[1]}, {key[2]} thread(s): {setting_name(setting)}")
