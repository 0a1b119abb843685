"""Lower the steps of parts to lists: which places each place reads, for maps of a given size.

Path counts, rollout and the explorer's page interpret these lists and nothing else, so a part that
says its steps needs no other description. Places are numbered as in `minimaxvit.steps`: the tokens
of the map, row by row, and after them extra tokens.
"""

from typing import NamedTuple

import torch
from torch import nn

from ...steps import Add, Append, Attend, Gate, Part, Taps
from .windows import strides, window_keys


class Places(NamedTuple):
    """The tokens of a map of h by w, whose neighbors are `stride` pixels apart, then extra ones."""

    h: int
    w: int
    extra: int = 0
    stride: int = 1

    @property
    def count(self):
        return self.h * self.w + self.extra


class Read(NamedTuple):
    """In each of n groups, every query reads every key.

    `queries`, long (n, t), are numbers of places after the step and `keys`, long (n, s), of places
    before it; a negative key is no token. `step` is what was lowered: it knows how much of each.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    step: tuple
    before: Places
    after: Places

    @property
    def attends(self):
        return isinstance(self.step, Attend)


class Sum(NamedTuple):
    """The sum of branches, each a tuple of reads, sums and gates, which () leaves as it is."""

    branches: tuple
    after: Places


class Gated(NamedTuple):
    """The tokens of the map are multiplied by something that the whole map decides."""

    after: Places


class PartReads(NamedTuple):
    """What a part reads, in order; `passing` extra tokens go by it unread and unchanged."""

    reads: tuple
    before: Places
    after: Places
    passing: int = 0


def lower_network(model, h, w, until=None):
    """Lower the layers of a model for images of h by w, all or `until` one: {name: PartReads}.

    ValueError if the model refuses that size.
    """
    model.check_size(h, w)
    places, lowered = Places(h, w), {}
    for name, part in model.layers().items():
        lowered[name] = lower_part(part, places)
        places = places_after(lowered[name])
        if name == until:
            break
    return lowered


def places_after(lowered):
    """All places after a part, including the extra tokens that it passed on unread."""
    return lowered.after._replace(extra=lowered.after.extra + lowered.passing)


def lower_part(part, places):
    """Lower one part, at the places that it is given."""
    passing = 0
    if passes_extra(part):
        places, passing = places._replace(extra=0), places.extra
    reads, after = lower(part.steps(), places)
    return PartReads(reads, places, after, passing)


def passes_extra(part):
    """Whether a part acts on the map alone, as all do that keep the `run` of `Part`."""
    return getattr(type(part), "run", Part.run) is Part.run


def lower(steps, places):
    """Lower steps one after the other: returns a tuple of reads, and the places after them."""
    lowered, begun = [], places
    for step in steps:
        match step:
            case Taps(nn.Identity()):
                continue
            case Taps(module):
                lowered.append(_read_taps(step, module, places))
            case Attend(groups):
                lowered.append(_read_groups(step, groups, places, begun))
            case Append(count):
                lowered.append(_append(step, count, places))
            case Add(branches):
                lowered.append(_sum(branches, places))
            case Gate():
                lowered.append(Gated(places))
            case _:
                raise TypeError(f"{step} is no step: see minimaxvit.steps")
        places = lowered[-1].after
    return tuple(lowered), places


def attention_reads(reads):
    """List the reads of attention, also those inside sums."""
    found = []
    for read in reads:
        if isinstance(read, Sum):
            found += [each for branch in read.branches for each in attention_reads(branch)]
        elif isinstance(read, Read) and read.attends:
            found.append(read)
    return found


def covered(reads, places):
    """Say which places after these reads have read anything: bool (places.count,)."""
    for read in reversed(reads):
        if isinstance(read, Sum):
            return torch.stack([covered(branch, places) for branch in read.branches]).any(0)
        if isinstance(read, Read):
            some = (read.keys >= 0).any(1)  # (n,)
            reached = torch.zeros(places.count, dtype=torch.bool)
            reached[read.queries[some]] = True
            return reached
    return torch.ones(places.count, dtype=torch.bool)


def _read_taps(step, module, places):
    """Each token after the step reads its window; extra tokens pass."""
    keys = window_keys(module, places.h, places.w)  # (h', w', s)
    h, w, s = keys.shape
    after = Places(h, w, places.extra, places.stride * strides(module)[0])
    passing = torch.full((places.extra, s), -1)
    passing[:, 0] = torch.arange(places.h * places.w, places.count)
    return Read(_numbers(after.count), torch.cat([keys.view(-1, s), passing]), step, places, after)


def _read_groups(step, groups, places, begun):
    """Read as `groups` says; queries beyond the present places are places before the first step."""
    numbers = _numbers(places.h * places.w).view(1, places.h, places.w, 1)
    queries, keys = groups(numbers, torch.arange(places.h * places.w, places.count))
    if not queries.numel() or not keys.numel():
        raise ValueError("Attend is for tokens beside the map, and no layer before began any")
    after = places if queries.max() < places.count else begun
    if len(queries) != len(keys) or queries.max() >= after.count or keys.max() >= places.count:
        raise ValueError(
            f"Attend names queries {tuple(queries.shape)} up to {queries.max()} and keys "
            f"{tuple(keys.shape)} up to {keys.max()}, where {places.count} places are there to read"
        )
    return Read(queries, keys, step, places, after)


def _append(step, count, places):
    kept = _numbers(places.count)
    return Read(kept, kept, step, places, places._replace(extra=places.extra + count))


def _sum(branches, places):
    lowered, after = zip(*(lower(branch, places) for branch in branches), strict=True)
    if len(set(after)) > 1:
        raise ValueError(
            f"the branches of a sum end on different maps: {', '.join(map(str, after))}"
        )
    return Sum(lowered, after[0])


def _numbers(count):
    return torch.arange(count)[:, None]  # (n, 1): each place is a group of its own
