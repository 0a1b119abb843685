"""Walk lowered reads backwards, from values at the places after a part to those before it.

Each read hands the value of a query back to its keys: whole to each of them for path counts, in
fractions that sum to 1 for rollout. A `Rule` decides how much.
"""

import torch

from .reads import Read, Sum


class Rule:
    """How values are handed back. This one counts paths: whatever can be read counts once."""

    def amounts(self, read):
        """How much of each key: (n, s), or (b, n, t, s) if queries differ; None is all of it."""
        return None

    def split(self, values, branches, places):
        """What each branch of a sum hands back."""
        return [values] * len(branches)

    def gate(self, values, places):
        """What a gate hands back; this one is held constant."""
        return values


def walk_part(part_reads, values, rule):
    """Walk one part: (..., places after it) -> (..., places before it), passing tokens last."""
    inside, passing = values.split([part_reads.after.count, part_reads.passing], -1)
    return torch.cat([walk(part_reads.reads, inside, rule), passing], -1)


def walk(reads, values, rule):
    """Walk some reads in reverse. Shapes: values (..., places after) -> (..., places before)."""
    for read in reversed(reads):
        if isinstance(read, Read):
            values = _hand_back(read, values, rule.amounts(read))
        elif isinstance(read, Sum):
            several = rule.split(values, read.branches, read.after)
            values = sum(
                walk(branch, each, rule)
                for branch, each in zip(read.branches, several, strict=True)
            )
        else:
            values = rule.gate(values, read.after)
    return values


def _hand_back(read, values, amounts):
    asked = values[..., read.queries]  # (..., n, t)
    if amounts is None or amounts.ndim == 2:
        handed = asked.sum(-1, keepdim=True).expand(*asked.shape[:-1], read.keys.shape[1])
        handed = handed if amounts is None else handed * amounts  # (..., n, s)
    else:
        handed = (asked[..., None, :] @ amounts)[..., 0, :]  # (b, n, 1, t) @ (b, n, t, s)
    places = read.before.count
    before = values.new_zeros(*values.shape[:-1], places + 1)  # the last gets what is no token
    keys = read.keys.where(read.keys >= 0, places).flatten()
    before.index_add_(-1, keys, handed.flatten(-2))
    return before[..., :-1]
