"""Train teachers and students on one GPU with PyTorch, in minutes.

usage: python benchmarks/gpu_campaign.py DATA OUT [--seconds 560] [--plan main|customary]

`mien train` does the same with Keras on any machine. This script exists because a GPU is idle most of the time if the
CPU feeds it one batch at a time. Here the images, the augmentation, the teachers' predictions and all networks of a
phase stay on the GPU, and each training step is one CUDA graph.

DATA is a folder with the images as lossless sheets and `labels.npz` (written by `campaign_data.py`; it contains
Training and PublicTest, and nothing of PrivateTest). OUT receives an .npz file per network, with the weights in the
order of the Keras network of the same specification, and `report.json`. `campaign_weights.py` converts them to Keras.

    phase 1   teachers learn FER2013's labels, FER+'s votes, and both fused, on augmented images
    phase 2   each teacher predicts VIEWS augmented copies of every training image
    phase 3   students learn the mean predictions of the teachers, all students side by side

Every network has three heads: FER2013's seven classes, FER+'s eight, and seven classes trained on the mean of both
label sets with balanced softmax (Ren et al. 2020, https://arxiv.org/abs/2007.10740), which is not biased against rare
classes. The number of epochs is chosen so that a phase fits into its share of the time; report.json states it.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as PyTorch's own documentation has it
from PIL import Image
from torch import Tensor, nn

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CUDA = DEVICE.type == "cuda"
SIDE = 48
HEADS = (7, 8, 7)
COLUMNS = sum(HEADS)
# FER+'s neutral, happiness, surprise, sadness, anger, disgust, fear in FER2013's order, without contempt
FERPLUS_TO_FER2013 = (6, 3, 5, 4, 0, 1, 2)
MOMENTUM = 0.9


# === Networks, equal to those of `mien.training.networks.Compact` ===


@dataclass(frozen=True)
class Spec:
    """The fields of `Compact`."""

    stem: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    dropout: float = 0.2
    stem_strides: int = 2
    squeeze: int = 0


class SameConv(nn.Module):
    """A convolution without bias, padded like Keras `same`, and batch normalization."""

    def __init__(self, inputs: int, width: int, kernel: int, strides: int = 1) -> None:
        super().__init__()
        self.kernel, self.strides = kernel, strides
        self.conv = nn.Conv2d(inputs, width, kernel, stride=strides, bias=False)
        nn.init.trunc_normal_(self.conv.weight, std=math.sqrt(2 / (inputs * kernel * kernel)) / 0.8796)
        self.norm = nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, width, h / strides, w / strides)."""
        total = max(self.kernel - self.strides, 0) if x.shape[-1] % self.strides == 0 else self.kernel - 1
        before, after = total // 2, total - total // 2
        if self.conv.in_channels == 1:
            x = F.pad(
                x.bfloat16() if torch.is_autocast_enabled(DEVICE.type) else x, (before, after, before, after)
            )
            side = (x.shape[-1] - self.kernel) // self.strides + 1
            columns = F.unfold(x, self.kernel, stride=self.strides)  # (n, k * k, side * side)
            kernel = self.conv.weight.flatten(1).contiguous()
            y = torch.matmul(columns.transpose(1, 2), kernel.t())  # (n, side * side, width)
            y = y.transpose(1, 2).unflatten(2, (side, side))  # channels last in memory
        elif before == after:
            y = F.conv2d(x, self.conv.weight, stride=self.strides, padding=before)
        else:
            y = F.conv2d(F.pad(x, (before, after, before, after)), self.conv.weight, stride=self.strides)
        return self.norm(y)


class Residual(nn.Module):
    """A residual block, optionally with squeeze and excitation."""

    def __init__(self, inputs: int, width: int, strides: int, squeeze: int) -> None:
        super().__init__()
        self.shortcut = SameConv(inputs, width, 1, strides) if strides > 1 or inputs != width else None
        self.first = SameConv(inputs, width, 3, strides)
        self.second = SameConv(width, width, 3)
        self.squeeze = nn.Conv2d(width, width // squeeze, 1) if squeeze else None
        self.excite = nn.Conv2d(width // squeeze, width, 1) if squeeze else None

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, width, h / strides, w / strides)."""
        y = self.second(F.relu(self.first(x)))
        if self.squeeze is not None and self.excite is not None:
            share = F.relu(self.squeeze(y.mean((2, 3), keepdim=True)))
            y = y * torch.sigmoid(self.excite(share))
        return F.relu(y + (self.shortcut(x) if self.shortcut else x))


class Network(nn.Module):
    """Gray images (n, 1, 48, 48) in [0, 1] to the concatenated logits of all heads (n, 22)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.stem = SameConv(1, spec.stem, 5, spec.stem_strides)
        blocks, width = [], spec.stem
        for stage, (out, count) in enumerate(zip(spec.widths, spec.blocks, strict=True)):
            for block in range(count):
                blocks.append(Residual(width, out, 2 if stage and not block else 1, spec.squeeze))
                width = out
        self.blocks = nn.ModuleList(blocks)
        self.dropout = spec.dropout
        self.heads = nn.Linear(width, COLUMNS)
        nn.init.xavier_uniform_(self.heads.weight)
        nn.init.zeros_(self.heads.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 48, 48) to logits (n, 22)."""
        x = F.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        pooled = x.float().mean((2, 3))
        with torch.autocast(DEVICE.type, enabled=False):
            return self.heads(F.dropout(pooled, self.dropout, self.training))


# === Augmentation, on the GPU ===


@dataclass(frozen=True)
class Changes:
    """Random augmentation with the strengths of `mien.training.augmentation.Augmentation`."""

    shift: float = 0.08
    rotation: float = 12.0
    zoom: float = 0.12
    shear: float = 0.06
    brightness: float = 0.12
    contrast: float = 0.3
    gamma: float = 0.35
    downscale: float = 0.08
    noise: float = 0.08
    erasing: float = 0.25
    mixup: float = 0.0

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augment uint8 (n, 48, 48)."""
        n = len(images)

        def draw(*shape: int) -> Tensor:
            return torch.rand(n, *shape, device=DEVICE, generator=generator)

        u = draw(12) * 2 - 1
        angle = u[:, 0] * math.radians(self.rotation)
        scale = torch.exp(math.log1p(self.zoom) * u[:, 1])
        ratio = torch.exp(math.log1p(self.shear) / 2 * u[:, 2])
        mirror = torch.where(u[:, 3] < 0, -1.0, 1.0)
        cosine, sine = torch.cos(angle), torch.sin(angle)
        turn = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
        shape = torch.zeros(n, 2, 2, device=DEVICE)
        shape[:, 0, 0], shape[:, 0, 1], shape[:, 1, 1] = mirror * ratio, self.shear * u[:, 4], 1 / ratio
        linear = scale[:, None, None] * (turn @ shape)
        offset = 2 * self.shift * u[:, 5:7, None]
        x = images[:, None].float()
        grid = F.affine_grid(torch.cat([linear, offset], 2), [n, 1, SIDE, SIDE], align_corners=False)
        x = F.grid_sample(x, grid, padding_mode="border", align_corners=False) / 255
        if self.downscale:
            for side in (16, 24, 32):
                small = F.interpolate(F.interpolate(x, size=side, mode="area"), size=SIDE, mode="bilinear")
                x = torch.where((draw(1, 1, 1) < self.downscale / 3), small, x)
        u = u[..., None, None]
        x = x ** torch.exp(self.gamma * u[:, 7:8])
        x = (x - 0.5) * torch.exp(math.log1p(self.contrast) * u[:, 8:9]) + 0.5 + self.brightness * u[:, 9:10]
        if self.noise:
            spread = torch.where(draw(1, 1, 1) < self.noise, draw(1, 1, 1) * 16 / 255, 0)
            x = x + spread * torch.randn(x.shape, device=DEVICE, generator=generator)
        if self.erasing:
            area = (0.03 + 0.22 * draw()) * SIDE * SIDE
            slim = torch.exp(draw() * 2 - 1)
            height, width = (area * slim).sqrt().clamp(1, SIDE), (area / slim).sqrt().clamp(1, SIDE)
            top, left = draw() * (SIDE - height), draw() * (SIDE - width)
            at = torch.arange(SIDE, device=DEVICE)
            rows = (at >= top[:, None]) & (at < (top + height)[:, None])
            columns = (at >= left[:, None]) & (at < (left + width)[:, None])
            inside = (rows[:, :, None] & columns[:, None]) & (draw() < self.erasing)[:, None, None]
            filling = torch.where(draw(1, 1, 1) < 0.5, draw(1, 1, 1), draw(1, SIDE, SIDE))
            x = torch.where(inside[:, None], filling, x)
        return (x[:, 0].clamp(0, 1) * 255).round().to(torch.uint8)


LIGHT = Changes(
    shift=0.06,
    rotation=10,
    zoom=0.1,
    shear=0.04,
    brightness=0.1,
    contrast=0.2,
    gamma=0.2,
    downscale=0,
    noise=0,
    erasing=0.15,
)
MEDIUM = Changes()
MIXED = Changes(mixup=0.2)


# === One network and its training ===


@dataclass
class Member:
    """A network in training: its weights in one flat array, its training step in one CUDA graph."""

    name: str
    spec: Spec
    seed: int
    batch_size: int = 256
    rate: float = 0.2
    weight_decay: float = 5e-4
    ema: float = 0.998
    sharpness: float = 0.0
    smoothing: float = 0.05
    changes: Changes = MEDIUM
    everything: bool = False
    best: dict[str, float] = field(default_factory=dict)

    def build(self, prior: Tensor) -> None:
        """Create the network and capture its training step."""
        torch.manual_seed(self.seed)
        self.network = Network(self.spec).to(DEVICE)
        named = list(self.network.named_parameters())
        named.sort(key=lambda item: item[1].ndim < 2)  # parameters with weight decay first
        self.decayed = sum(p.numel() for _, p in named if p.ndim >= 2)
        size = sum(p.numel() for _, p in named)
        self.flat = torch.empty(size, device=DEVICE)
        self.gradient = torch.zeros_like(self.flat)
        at = 0
        for _, parameter in named:
            end = at + parameter.numel()
            new, slope = (_like(flat[at:end], parameter) for flat in (self.flat, self.gradient))
            new.copy_(parameter.data)
            parameter.data, parameter.grad = new, slope
            at = end
        self.velocity = torch.zeros_like(self.flat)
        self.average = self.flat.clone()
        self.lr = torch.zeros((), device=DEVICE)
        self.share = torch.zeros((), device=DEVICE)
        self.prior = prior
        self.x = torch.zeros(self.batch_size, 1, SIDE, SIDE, device=DEVICE)
        self.targets = torch.full((self.batch_size, COLUMNS), 1 / 8, device=DEVICE)
        self.hard = torch.ones((), device=DEVICE)
        self.stream = torch.cuda.Stream() if CUDA else None
        self._capture()

    def _loss(self) -> Tensor:
        with torch.autocast(DEVICE.type, torch.bfloat16, cache_enabled=False):
            logits = self.network(self.x)
        first, second, third = torch.split(logits, HEADS, 1)
        one, two, three = torch.split(self.targets, HEADS, 1)
        # teachers' predictions for the third head are balanced already
        adjusted = third + self.hard * self.prior
        loss = -(one * first.log_softmax(1)).sum(1) - (two * second.log_softmax(1)).sum(1)
        return (loss - (three * adjusted.log_softmax(1)).sum(1)).mean()

    def _step(self) -> None:
        self.gradient.zero_()
        self._loss().backward()
        if self.sharpness:
            away = self.gradient * (self.sharpness / (self.gradient.norm() + 1e-12))
            self.flat.add_(away)
            self.gradient.zero_()
            self._loss().backward()
            self.flat.sub_(away)
        with torch.no_grad():
            self.gradient[: self.decayed].add_(self.flat[: self.decayed], alpha=self.weight_decay)
            self.velocity.mul_(MOMENTUM).add_(self.gradient)
            self.flat.sub_(self.lr * (self.gradient + MOMENTUM * self.velocity))
            self.average.lerp_(self.flat, self.share)

    def _capture(self) -> None:
        self.network.train()
        kept = self.flat.clone(), {k: v.clone() for k, v in self.network.named_buffers()}
        if CUDA:
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                for _ in range(3):
                    self._step()
            torch.cuda.current_stream().wait_stream(self.stream)
            torch.cuda.synchronize()
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, stream=self.stream):
                self._step()
        self.flat.copy_(kept[0])
        for name, buffer in self.network.named_buffers():
            buffer.copy_(kept[1][name])
        self.velocity.zero_()
        self.average.copy_(self.flat)

    def step(self) -> None:
        """Run one step on the current `x` and `targets`."""
        if CUDA:
            self.graph.replay()
        else:
            self._step()

    def finish(self, images: Tensor) -> None:
        """Use the averaged weights and recompute the batch normalization statistics on augmented training images."""
        self.flat.copy_(self.average)
        norms = [m for m in self.network.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        self.network.train()
        with torch.no_grad():
            for part in images.split(1024):
                self.logits(part)
        self.network.eval()

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return the logits (n, 22) of images uint8 (n, 48, 48)."""
        parts = []
        for part in images.split(2048):
            with torch.autocast(DEVICE.type, torch.bfloat16):
                parts.append(self.network(part[:, None].float() / 255))
        return torch.cat(parts).float()

    def save(self, folder: Path, epochs: int) -> None:
        """Save the weights in Keras order, in float16 except for batch normalization."""
        arrays: dict[str, np.ndarray] = {}
        convolutions = normalizations = 0
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d):
                arrays[f"conv{convolutions:03}"] = _numpy(module.weight.permute(2, 3, 1, 0)).astype(
                    np.float16
                )
                if module.bias is not None:
                    arrays[f"conv{convolutions:03}_bias"] = _numpy(module.bias)
                convolutions += 1
            elif isinstance(module, nn.BatchNorm2d):
                parts = (module.weight, module.bias, module.running_mean, module.running_var)
                arrays[f"norm{normalizations:03}"] = np.stack([_numpy(part) for part in parts])
                normalizations += 1
        arrays["heads"] = _numpy(self.network.heads.weight.t())
        arrays["heads_bias"] = _numpy(self.network.heads.bias)
        facts = {
            "name": self.name, "spec": asdict(self.spec), "seed": self.seed, "epochs": epochs, **self.best,
            "batch_size": self.batch_size, "rate": self.rate, "weight_decay": self.weight_decay, "ema": self.ema,
            "sharpness": self.sharpness, "changes": asdict(self.changes), "everything": self.everything,
        }  # fmt: skip
        np.savez(folder / f"{self.name}.npz", facts=json.dumps(facts), **arrays)


def _like(flat: Tensor, parameter: Tensor) -> Tensor:
    if parameter.ndim == 4:
        out, inputs, height, width = parameter.shape
        return flat.view(out, height, width, inputs).permute(0, 3, 1, 2)
    return flat.view(parameter.shape)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


# === Data ===


class Data:
    """All images and targets on the GPU."""

    def __init__(self, folder: Path) -> None:
        facts = np.load(folder / "labels.npz")
        n = len(facts["label"])

        def sheet(path: Path) -> np.ndarray:
            grid = np.asarray(Image.open(path).convert("L"))
            rows, columns = (side // SIDE for side in grid.shape)
            return grid.reshape(rows, SIDE, columns, SIDE).transpose(0, 2, 1, 3).reshape(-1, SIDE, SIDE)

        with ThreadPoolExecutor() as pool:
            images = np.concatenate(list(pool.map(sheet, sorted(folder.glob("*.webp")))))[:n]
        self.images = torch.from_numpy(images).to(DEVICE)
        self.label = torch.from_numpy(facts["label"].astype(np.int64)).to(DEVICE)
        self.major = torch.from_numpy(facts["major"].astype(np.int64)).to(DEVICE)
        self.clean = torch.from_numpy(facts["clean"]).to(DEVICE)
        self.train = torch.from_numpy(facts["train"]).to(DEVICE)
        self.public = torch.from_numpy(facts["public"]).to(DEVICE)
        votes = torch.from_numpy(facts["votes"].astype(np.float32)).to(DEVICE)
        hot = F.one_hot(self.label, 7).float()
        order = [FERPLUS_TO_FER2013.index(i) for i in range(7)]
        folded = votes[:, order]
        known = folded.sum(1, keepdim=True)
        fused = torch.where(known > 0, (hot + folded / known.clamp(min=1e-6)) / 2, hot)
        self.hot, self.votes, self.fused = hot, votes, fused
        self.prior = fused[self.clean].mean(0).log()

    def truth(self, smoothing: float) -> Tensor:
        """Return the targets of all heads (n, 22)."""
        return torch.cat([self.hot * (1 - smoothing) + smoothing / 7, self.votes, self.fused], 1)

    def accuracies(self, logits: Tensor) -> dict[str, float]:
        """Return accuracies of PublicTest logits: FER2013, FER+'s majority, and the third head against both."""
        first, second, third = torch.split(logits, HEADS, 1)
        label, major = self.label[self.public], self.major[self.public]
        known = major >= 0
        folded = torch.tensor([*FERPLUS_TO_FER2013, -1], device=DEVICE)[major.clamp(min=0)]

        def share(right: Tensor) -> float:
            return round(100 * right.float().mean().item(), 2)

        return {
            "fer2013": share(first.argmax(1) == label),
            "ferplus": share((second.argmax(1) == major)[known]),
            "fused_fer2013": share(third.argmax(1) == label),
            "fused_ferplus": share((third.argmax(1) == folded)[known]),
        }


# === Phases ===


class Clock:
    """Seconds since the start of the script, and the log."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.began

    def tell(self, *words: object) -> None:
        """Print a message with the elapsed time."""
        print(f"[{self.seconds():6.1f} s]", *words, flush=True)


def schedule(progress: float, warmup: float = 0.03) -> float:
    """Return the learning rate relative to its peak: linear warm-up, then cosine decay to zero."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def run_epochs(
    members: list[Member], batches: list[Tensor], fill, epochs: int, seconds: float, clock: Clock, most: int
) -> int:
    """Train members side by side.

    Args:
        members: the networks, built.
        batches: the rows to train on, as the only item.
        fill: a function of the epoch number that returns a function that loads a batch into a member.
        epochs: number of epochs; 0 for as many as fit into `seconds`, at most `most`.
        seconds: time limit in seconds.
        clock: logs the progress.
        most: maximum number of epochs.

    Returns:
        The number of epochs trained.
    """
    size = members[0].batch_size
    if not epochs:
        load = fill(0)
        steps = 24
        for member in members:
            member.lr.zero_()
            member.share.zero_()
        kept = [(m.flat.clone(), {k: v.clone() for k, v in m.network.named_buffers()}) for m in members]
        _sync()
        began = time.monotonic()
        fill(1)
        _sync()
        filling = time.monotonic() - began
        began = time.monotonic()
        for _ in range(steps):
            _one_step(members, batches[0][:size], load)
        _sync()
        step = (time.monotonic() - began) / steps
        for member, (flat, buffers) in zip(members, kept, strict=True):
            member.flat.copy_(flat)
            member.average.copy_(flat)
            member.velocity.zero_()
            for name, buffer in member.network.named_buffers():
                buffer.copy_(buffers[name])
        an_epoch = filling + step * (len(batches[0]) // members[0].batch_size)
        epochs = max(1, min(most, int(seconds / an_epoch)))
        clock.tell(f"{step * 1e3:.2f} ms per step, {an_epoch:.2f} s per epoch: {epochs} epochs")
    total = epochs * (len(batches[0]) // members[0].batch_size)
    done = 0
    generator = torch.Generator(DEVICE)
    for epoch in range(epochs):
        load = fill(epoch)
        generator.manual_seed(1000 + epoch)
        order = batches[0][torch.randperm(len(batches[0]), device=DEVICE, generator=generator)]
        for at in range(0, len(order) - size + 1, size):
            for member in members:
                member.lr.fill_(member.rate * schedule(done / total))
                member.share.fill_(max(1 - member.ema, 9 / (10 + done)))
            _one_step(members, order[at : at + size], load)
            done += 1
        if epoch % 10 == 0:
            clock.tell(f"epoch {epoch + 1} of {epochs}")
    _sync()
    return epochs


def _one_step(members: list[Member], chosen: Tensor, load) -> None:
    for member in members:
        load(member, chosen)
    if not CUDA:
        for member in members:
            member.step()
        return
    now = torch.cuda.current_stream()
    for member in members:
        member.stream.wait_stream(now)
        with torch.cuda.stream(member.stream):
            member.step()
    for member in members:
        now.wait_stream(member.stream)


def _sync() -> None:
    if CUDA:
        torch.cuda.synchronize()


def augmented(data: Data, changes: Changes, seed: int) -> Tensor:
    """Return every image augmented once, uint8 (n, 48, 48)."""
    generator = torch.Generator(DEVICE)
    generator.manual_seed(seed)
    return torch.cat([changes.apply(part, generator) for part in data.images.split(8192)])


def train_hard(
    members: list[Member], data: Data, chosen: Tensor, epochs: int, seconds: float, clock: Clock, most: int
) -> int:
    """Train on labels and votes; each member has its own augmentation."""
    for member in members:
        member.build(data.prior)
        member.hard.fill_(1)

    def fill(epoch: int):
        views = {
            m.name: augmented(data, m.changes, 100_000 * (i + 1) + 1000 * m.seed + epoch)
            for i, m in enumerate(members)
        }
        rng = np.random.default_rng(epoch)

        def load(member: Member, rows: Tensor) -> None:
            x = views[member.name][rows][:, None].float() / 255
            targets = truths[member.name][rows]
            if member.changes.mixup:
                share = float(rng.beta(member.changes.mixup, member.changes.mixup))
                x = share * x + (1 - share) * x.roll(1, 0)
                targets = share * targets + (1 - share) * targets.roll(1, 0)
            member.x.copy_(x)
            member.targets.copy_(targets)

        return load

    truths = {m.name: data.truth(m.smoothing) for m in members}
    epochs = run_epochs(members, [chosen], fill, epochs, seconds, clock, most)
    for member in members:
        member.finish(augmented(data, member.changes, 7)[chosen][:8192])
        member.best = data.accuracies(member.logits(data.images[data.public]))
        clock.tell(member.name, member.best)
    return epochs


def ask(teachers: list[Member], images: Tensor) -> Tensor:
    """Return the mean probabilities of the teachers, (n, 22)."""
    told = []
    for teacher in teachers:
        heads = torch.split(teacher.logits(images), HEADS, 1)
        told.append(torch.cat([head.softmax(1) for head in heads], 1))
    return torch.stack(told).mean(0)


def teach(
    members: list[Member],
    teachers: list[Member],
    data: Data,
    chosen: Tensor,
    *,
    views: int,
    changes: Changes,
    epochs: int,
    deadline: float,
    clock: Clock,
    most: int,
) -> int:
    """Train students on 0.55 x the prediction for a copy, 0.35 x the mean over all copies, 0.1 x the label."""
    for member in members:
        member.build(data.prior)
        member.hard.zero_()
    rows = torch.full((len(data.images),), -1, device=DEVICE)
    rows[chosen] = torch.arange(len(chosen), device=DEVICE)
    generator = torch.Generator(DEVICE)
    generator.manual_seed(5)
    images, answers = [], []
    mean = torch.zeros(len(chosen), COLUMNS, device=DEVICE)
    source = data.images[chosen]
    for view in range(views):
        changed = torch.cat([changes.apply(part, generator) for part in source.split(8192)])
        told = ask(teachers, changed)
        images.append(changed)
        answers.append(told.half())
        mean += told
        if view % 20 == 0:
            _sync()
            clock.tell(f"copy {view + 1} of {views}")
    mean /= views
    truth = data.truth(0)[chosen]
    truth[:, -7:] = (truth[:, -7:] / data.prior.exp()).div(
        (truth[:, -7:] / data.prior.exp()).sum(1, keepdim=True)
    )
    known = truth[:, 7:15].sum(1) > 0
    truth[:, 7:15] = torch.where(known[:, None], truth[:, 7:15], mean[:, 7:15])
    base = 0.35 * mean + 0.1 * truth

    def fill(epoch: int):
        image, answer = images[epoch % views], answers[epoch % views]
        flips = torch.rand(len(chosen), device=DEVICE) < 0.5 if epoch >= views else None
        if flips is not None:
            image = torch.where(flips[:, None, None], image.flip(2), image)
        cache: dict[int, tuple[Tensor, Tensor]] = {}

        def load(member: Member, batch: Tensor) -> None:
            if cache.get(0, (None,))[0] is not batch:
                at = rows[batch]
                x = image[at][:, None].float() / 255
                cache[0] = (batch, x, 0.55 * answer[at].float() + base[at])
            member.x.copy_(cache[0][1])
            member.targets.copy_(cache[0][2])

        return load

    epochs = run_epochs(members, [chosen], fill, epochs, deadline - clock.seconds(), clock, most)
    for member in members:
        member.finish(images[0][:8192])
        member.best = data.accuracies(member.logits(data.images[data.public]))
        clock.tell(member.name, member.best)
    return epochs


# === Plans ===

FINE = Spec(stem=48, widths=(48, 96, 192, 384), blocks=(1, 2, 2, 2), dropout=0.3, stem_strides=1)
WIDE = Spec(stem=32, widths=(32, 128, 256, 384), blocks=(0, 2, 2, 2), dropout=0.3, stem_strides=1)
DEEP = Spec(stem=48, widths=(48, 96, 192, 320), blocks=(1, 3, 3, 2), dropout=0.3, stem_strides=1, squeeze=8)
TINY = Spec(stem=16, widths=(16, 48, 96), blocks=(0, 1, 2), dropout=0.0)
COARSE = Spec(stem=32, widths=(32, 64, 128), blocks=(2, 2, 2), dropout=0.0, stem_strides=4)
FATTER = Spec(stem=32, widths=(32, 64, 192), blocks=(0, 2, 3), dropout=0.1)
SMALL = Spec(stem=32, widths=(32, 64, 192), blocks=(1, 1, 2), dropout=0.1)
LARGE = Spec(stem=48, widths=(64, 128, 320), blocks=(2, 2, 2), dropout=0.2)


def teachers_of(plan: str) -> list[Member]:
    """Return the teachers of a plan, each with its own augmentation; one trains with sharpness-aware minimization."""
    if plan == "test":
        spec = Spec(stem=8, widths=(8, 16), blocks=(0, 1), stem_strides=1)
        return [Member("teacher-a", spec, 0, changes=MIXED), Member("teacher-b", spec, 1, sharpness=0.05)]
    return [
        Member("teacher-fine", FINE, 1, changes=LIGHT),
        Member("teacher-wide", WIDE, 0, changes=MIXED),
        Member("teacher-deep", DEEP, 2, changes=MEDIUM, sharpness=0.05),
    ]


def students_of(plan: str, smalls: int, larges: int, tinies: int) -> list[Member]:
    """Return the students of a plan: several seeds of each network, and one of each of two other networks."""
    kinds = [("small", SMALL, smalls), ("large", LARGE, larges), ("tiny", TINY, tinies)]
    kinds += [("coarse", COARSE, 1), ("fatter", FATTER, 1)]
    if plan == "test":
        kinds = [("small", Spec(stem=8, widths=(8, 16), blocks=(1, 1)), smalls)]
    return [
        Member(f"{name}-{seed}", spec, seed, smoothing=0, weight_decay=5e-4 if name == "large" else 2e-4)
        for name, spec, count in kinds
        for seed in range(count)
    ]


def parse_options() -> argparse.Namespace:
    """Parse the command-line options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plan", choices=("main", "customary", "test"), default="main")
    parser.add_argument("--seconds", type=float, default=560, help="total time in seconds")
    parser.add_argument("--teaching", type=float, default=0.48, help="the share of the teachers")
    parser.add_argument("--views", type=int, default=96)
    parser.add_argument("--smalls", type=int, default=3)
    parser.add_argument("--larges", type=int, default=3)
    parser.add_argument("--tinies", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    """Train the networks of the plan."""
    options = parse_options()
    clock = Clock()
    torch.backends.cudnn.benchmark = True
    options.out.mkdir(parents=True, exist_ok=True)
    data = Data(options.data)
    clean = torch.nonzero(data.clean).flatten()
    if options.plan == "test":
        clean = clean[:2048]
    clock.tell(f"{len(data.images)} images, {len(clean)} to train on")
    report: dict[str, object] = {}
    if options.plan == "customary":
        # The common practice: copies of test images kept; and FER+ with its validation images, as in RAN and SCN.
        every = torch.nonzero(data.train).flatten()
        member = Member("large-customary", LARGE, 0, changes=LIGHT, everything=True)
        half = (options.seconds - clock.seconds()) / 2 - 2
        report[member.name] = epochs = train_hard([member], data, every, 0, half, clock, 150)
        member.save(options.out, epochs)
        both = torch.nonzero(data.train | data.public).flatten()
        member = Member("large-ferplus-all", LARGE, 0, changes=LIGHT, everything=True)
        left = options.seconds - clock.seconds() - 5
        report[member.name] = epochs = train_hard([member], data, both, 0, left, clock, 150)
        member.save(options.out, epochs)
    else:
        teachers = teachers_of(options.plan)
        share = options.seconds * options.teaching / len(teachers)
        for teacher in teachers:
            most = 2 if options.plan == "test" else 160
            epochs = train_hard([teacher], data, clean, 0, share - 4, clock, most)
            teacher.save(options.out, epochs)
            teacher.network.eval()
        ensemble = ask(teachers, data.images[data.public]).log()
        report["teachers"] = data.accuracies(ensemble)
        clock.tell("ensemble", report["teachers"])
        students = students_of(options.plan, options.smalls, options.larges, options.tinies)
        epochs = teach(
            students, teachers, data, clean, views=options.views, changes=MEDIUM, epochs=0,
            deadline=options.seconds - 8, clock=clock, most=3 if options.plan == "test" else 300,
        )  # fmt: skip
        for student in students:
            student.save(options.out, epochs)
        report["students"] = {student.name: student.best for student in students}
    report["seconds"] = clock.seconds()
    report["device"] = torch.cuda.get_device_name() if CUDA else "cpu"
    report["torch"] = torch.__version__
    (options.out / f"report-{options.plan}.json").write_text(json.dumps(report, indent=1))
    clock.tell("done")


if __name__ == "__main__":
    main()
