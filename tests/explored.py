"""Networks that tests explore, one small and one odd, and what the explorer makes of them."""

import base64
import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from browser import text_of
from helpers import randomize
from torch import nn

from minimaxvit import MAXVIT_PARTS, BlockAttention, MaxViT, MaxViTConfig, MBConv
from minimaxvit.pixels import normalize
from minimaxvit.relatives import ClassTokenHead, PatchEmbedding
from minimaxvit.seeing import record_attention, rollout, trace
from minimaxvit.seeing.explorer import explorer
from minimaxvit.steps import Add, Append, Attend, Part, Taps

SMALL = MaxViTConfig(
    depths=(1, 2), dims=(32, 64), stem_dim=8, window=2, num_classes=3, parts=2 * (MAXVIT_PARTS,)
)
CLASSES = ("circle", "square", "</script><b>")
NAMES = ["first", "second </script>"]


def images(n, h, w):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, 3, h, w), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="session")
def small():
    """Two networks of one small configuration, pictures that are not square, and the explorer."""
    networks = {
        label: randomize(MaxViT(SMALL), seed).float() for seed, label in enumerate(("one", "two"))
    }
    pictures = images(2, 16, 32)
    return networks, pictures, explorer(networks, pictures, NAMES, CLASSES)


def rounded(model, pictures, index):
    """What attention to one picture is as the page carries it: scores in half precision."""
    with record_attention(model) as maps, torch.no_grad():
        model(normalize(pictures))  # all at once, as the page: a batch changes the last digits
    return {
        name: replace(
            each, scores=each.scores[[index]].half().double(), bias=each.bias.half().double()
        )
        for name, each in maps.items()
    }


def compare_fields(page, model, pictures, gates=True, layers=None):
    """Compare what the page says of each layer's field with paths and rollout by Python."""
    h, w = pictures.shape[2:]
    for name in layers or model.layers():
        query = tuple(map(int, re.findall(r"\d+", text_of(page, name, "where"))))
        paths = trace(model, h, w, name, query, gates)["pixels"]
        reached, most = (paths > 0).sum(), int(paths.max())
        assert text_of(page, name, "exact-says") == f"{reached} of {h * w} pixels"
        told = f"{most:,}" if most < 2**53 else "about {}.{} * 10^{}".format(*rounded_off(most))
        assert text_of(page, name, "paths-says").startswith(f"up to {told} path")
        half = int(re.search(r"half on (\d+)", text_of(page, name, "rollout-says"))[1])
        taken = rollout(model, pictures, name, query)[0].flatten().sort(descending=True).values
        known = (taken.cumsum(0) < 0.5 - 1e-9).sum() + 1
        assert abs(half - known) <= 1  # the page's scores are rounded


def rounded_off(number):
    """A large number in two digits and a power of ten: 1234 is 1, 2 and 3."""
    digits, power = f"{number:.1e}".split("e+")
    return *digits.split("."), int(power)


def carried(fragment):
    """What the page holds, as the browser unpacks it."""
    packed = re.search(r'application/gzip">(.*?)</script>', fragment)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def decoded(text, kind):
    """The numbers of an array as the page holds it: all lowest bytes, then all next ones."""
    planes = np.frombuffer(base64.b64decode(text), np.uint8).reshape(np.dtype(kind).itemsize, -1)
    return np.ascontiguousarray(planes.T).view(np.dtype(kind).newbyteorder("<")).flatten()


def decoded_places(text, kind, slots):
    """The numbers of places in each group, of which the page holds differences."""
    return decoded(text, kind).reshape(-1, slots).cumsum(0, dtype=kind)


class ClassStem(PatchEmbedding):
    """Begin two extra tokens."""

    def __init__(self, stem_dim):
        super().__init__(stem_dim, 2, 16)

    def run(self, images):
        x, token = super().run(images)
        return x, torch.cat([token, 2 * token], 1)

    def steps(self):
        return Taps(self.project), Append(2)


class ReducedAttention(Part):
    """Every token attends to the few of a coarser map, as in spatial-reduction attention."""

    def __init__(self, dim):
        super().__init__()
        self.divisor = 2
        self.reduce = nn.Conv2d(dim, dim, 2, 2)
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))

    def forward(self, x):
        scores, _ = self.scores(x)
        value = self.value(self.reduce(x).flatten(2).mT)[:, None, None]
        return x + (scores.softmax(-1) @ value)[:, 0, 0].mT.unflatten(2, x.shape[2:])

    def scores(self, x):
        query, key = self.query(x.flatten(2).mT), self.key(self.reduce(x).flatten(2).mT)
        return (query @ key.mT)[:, None, None], torch.zeros(1)  # (b, 1, 1, t, s)

    def steps(self):
        return (Add(((), (Taps(self.reduce), Attend(self.groups)))),)

    def groups(self, numbers, extra):
        return torch.arange(4 * numbers.numel())[None], numbers.view(1, -1)


class ClassAttention(Part):
    """Extra tokens alone ask, and the map and they themselves answer (Touvron et al. 2021)."""

    def __init__(self, dim):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))

    def run(self, x, extra):
        scores, _ = self.scores(x, extra)
        value = self.value(torch.cat([x.flatten(2).mT, extra], 1))[:, None, None]
        return x, extra + (scores.softmax(-1) @ value)[:, 0, 0]

    def scores(self, x, extra):
        tokens = torch.cat([x.flatten(2).mT, extra], 1)
        return (self.query(extra) @ self.key(tokens).mT)[:, None, None], torch.zeros(1)

    def steps(self):
        return (Add(((), (Attend(self.groups),))),)

    def groups(self, numbers, extra):
        return extra[None], torch.cat([numbers.flatten(), extra])[None]


class RowAttention(Part):
    """Each token attends to those of its row that touch it: one query per group, keys missing."""

    def __init__(self, dim):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.offsets = nn.Parameter(torch.randn(3))

    def forward(self, x):
        scores, bias = self.scores(x)
        keys = self.keys(*x.shape[2:])
        logits = (scores + bias).masked_fill((keys < 0)[:, None], -torch.inf)
        value = self.value(x.flatten(2).mT)[:, keys][:, None]  # (b, 1, n, s, c)
        return x + (logits.softmax(-1) @ value)[:, 0, :, 0].mT.unflatten(2, x.shape[2:])

    def scores(self, x):
        tokens = x.flatten(2).mT
        query, key = self.query(tokens)[:, :, None], self.key(tokens)[:, self.keys(*x.shape[2:])]
        return (query @ key.mT)[:, None], self.offsets  # (b, 1, n, 1, s), (s,)

    def keys(self, h, w):
        numbers = F.pad(torch.arange(h * w).view(h, w), (1, 1), value=-1)
        return numbers.unfold(1, 3, 1).reshape(h * w, 3)

    def steps(self):
        return (Add(((), (Attend(self.groups),))),)

    def groups(self, numbers, extra):
        return numbers.view(-1, 1), self.keys(*numbers.shape[1:3])


ODD = MaxViTConfig(
    depths=(1,),
    dims=(32,),
    stem_dim=32,
    stem_stride=2,
    strides=1,
    window=2,
    parts=((MBConv, ReducedAttention, BlockAttention, RowAttention, ClassAttention),),
    stem=ClassStem,
    head=ClassTokenHead,
    num_classes=3,
    image_size=16,
)


@pytest.fixture(scope="session")
def odd():
    """A network whose attentions are all of another kind, its images, and the explorer."""
    model, pictures = randomize(MaxViT(ODD), 3).float(), images(1, 16, 16)
    return model, pictures, explorer({"odd": model}, pictures, ["noise"], CLASSES)
