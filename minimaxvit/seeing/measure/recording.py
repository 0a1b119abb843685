"""Record what attention attends to while a network runs, and lay it back on the map.

The scores are computed a second time, beside the network, so that attention itself stays as it is.
"""

from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from math import prod

import torch

from ...modes import evaluating, unwrapped
from ...network import MaxViT
from ...prepare import prepare
from ...steps import Add, Attend, Part
from .reads import Places, attention_reads, lower_part, passes_extra
from .receptive_field import pixels_apart, place_of


@dataclass(frozen=True)
class Attention:
    """What one layer attended to, with its scores and its bias apart.

    `scores` (b, heads, n, t, s) are the logits before the bias, with one row per query and one
    column per key, and `bias` is added to them, of any shape that broadcasts. `queries`, long
    (n, t), and `keys`, long (n, s), say which place stands where in which group: tokens of the map
    row by row, then extra tokens; a key of -1 is no token, nor is one of -2, which is padding
    that takes weight. Queries stand on `places` and keys on `key_places`, which nearly always are
    the same; `name` is the layer's.
    """

    name: str
    scores: torch.Tensor
    bias: torch.Tensor
    queries: torch.Tensor
    keys: torch.Tensor
    places: Places
    key_places: Places

    @property
    def size(self):
        """The (h, w) of the map that queries stand on."""
        return self.places.h, self.places.w

    @property
    def stride(self):
        """The side in pixels of the tokens of that map."""
        return self.places.stride

    def weights(self, scores=True, bias=True):
        """Attention weights (b, heads, n, t, s): a softmax, so the row of each query sums to 1.

        Without `scores`, or without `bias`, what the other alone would make of it. What padding
        gets is in the sum, but `row` and `lift` leave it out.
        """
        logits = torch.zeros_like(self.scores)
        if scores:
            logits = logits + self.scores
        if bias:
            logits = logits + self.bias
        return logits.masked_fill((self.keys == -1)[:, None], -torch.inf).softmax(-1)

    def row(self, query, weights):
        """Lay what one query attends to on the map of the keys: (b, heads, h, w).

        `query` is (row, column) or the number of a place, as of an extra token; `weights` are those
        of `weights()`. What extra tokens get is left out. ValueError for a place that is no query.
        """
        found = (self.queries == place_of(query, self.places, self.name)).nonzero()
        if not len(found):
            raise ValueError(f"{query} is no query of {self.name!r}: it attends to nothing")
        group, slot = found[0]
        on_places = self._on_keys(weights[:, :, group, slot], self.keys[group])
        h, w = self.key_places.h, self.key_places.w
        return on_places[..., : h * w].unflatten(-1, (h, w))

    def lift(self, weights):
        """Lay every row on all places: (b, heads, queries' places, keys' places), 0 elsewhere."""
        b, heads = weights.shape[:2]
        lifted = weights.new_zeros(b, heads, self.places.count, self.key_places.count)
        for group, (queries, keys) in enumerate(zip(self.queries, self.keys, strict=True)):
            lifted[:, :, queries] = self._on_keys(weights[:, :, group], keys)
        return lifted

    def _on_keys(self, weights, keys):
        places = self.key_places.count  # one more gets what is no token
        on_places = weights.new_zeros(*weights.shape[:-1], places + 1)
        keys = keys.where(keys >= 0, places)
        return on_places.index_add_(-1, keys, weights)[..., :-1]


@contextmanager
def record_attention(model):
    """Record, in a `with` block, what each attention attended to in the model's last call.

        with record_attention(model) as maps:
            model(images)
        maps["2.1 BlockAttention"].weights()

    Records every part that has `scores` and one `Attend` in its steps. Names are those of
    `model.layers()` for a MaxViT, and of `named_modules` otherwise. Leaves nothing in the model,
    even after an exception. ValueError if there is nothing to record.
    """
    model = unwrapped(model)
    named = attending(model)
    if not named:
        raise ValueError(
            f"{type(model).__name__} has no attention to record: none of its parts has scores and "
            f"one Attend in its steps"
        )
    maps, image = {}, []
    strides = _strides_before(model) if isinstance(model, MaxViT) else {}
    with ExitStack() as undo:
        first = model.stem if isinstance(model, MaxViT) else model
        undo.callback(_before_run(first, partial(_measure_image, image)))
        for name, part in named.items():
            record = partial(_record, maps, name, part, image, strides.get(name))
            undo.callback(_before_run(part, record))
        yield maps


def attention_maps(model, images):
    """Run a model on uint8 images (b, 3, h, w): what it attended to, {name: Attention}.

    It runs in evaluation mode and is left as it was. {} for a model without attention to record.
    """
    model = unwrapped(model)
    recording = record_attention(model) if attending(model) else nullcontext({})
    with evaluating(model), recording as maps, torch.no_grad():
        model(prepare(model, images))
    return maps


def attending(model):
    """The parts of a model whose attention can be recorded: {name: part}."""
    if isinstance(model, MaxViT):
        named = model.layers() | {"head": model.head}
    else:
        named = dict(model.named_modules())
    return {
        name: part
        for name, part in named.items()
        if isinstance(part, Part) and hasattr(part, "scores") and _count(part.steps()) == 1
    }


def _count(steps):
    """Count the `Attend` in steps, also those in the branches of sums."""
    branches = (branch for step in steps if isinstance(step, Add) for branch in step.branches)
    return sum(isinstance(step, Attend) for step in steps) + sum(map(_count, branches))


def _strides_before(model):
    """The pixels between neighboring tokens of the map that each layer gets."""
    named = list(model.layers().items())
    strides = {
        name: prod(earlier.stride for _, earlier in named[:number])
        for number, (name, _) in enumerate(named)
    }
    return strides | {"head": prod(part.stride for _, part in named)}


def _before_run(part, function):
    """Have `function(x, *extra)` called before a part runs. Returns what undoes that."""
    running = []
    hook = part.register_forward_pre_hook(lambda _, inputs: None if running else function(*inputs))
    if passes_extra(part):
        return hook.remove
    run, earlier = part.run, vars(part).get("run")  # its own `run` may not call `forward`

    def recorded(*state):
        function(*state)
        running.append(True)
        try:
            return run(*state)
        finally:
            running.pop()

    def undo():
        hook.remove()
        del part.run
        if earlier:
            part.run = earlier

    part.run = recorded
    return undo


def _measure_image(image, x, *extra):
    image[:] = x.shape[2:]


@torch.no_grad()
def _record(maps, name, part, image, stride, x, *extra):
    extra = () if passes_extra(part) else extra
    size = tuple(x.shape[2:])
    stride = stride or pixels_apart(image or size, size)
    places = Places(*size, sum(tokens.shape[1] for tokens in extra), stride)
    (read,) = attention_reads(lower_part(part, places).reads)
    scores, bias = part.scores(x, *extra)
    queries, keys = read.queries.to(x.device), read.keys.to(x.device)
    if scores.shape[2:] != (*queries.shape, keys.shape[1]):
        raise ValueError(
            f"{name!r} has scores {tuple(scores.shape)}, but its steps name queries "
            f"{tuple(queries.shape)} and keys {tuple(keys.shape)}"
        )
    bias = bias.detach().clone()  # it may be a parameter, which goes on learning
    maps[name] = Attention(name, scores, bias, queries, keys, read.after, read.before)
