"""Reach is what paths say, and grows to the whole map after as many layers as papers say."""

import pytest
import torch
from helpers import measured_reads, noise, randomize, said_reads

from minimaxvit import BlockAttention, GridAttention, MBConv
from minimaxvit.relatives import (
    ClassAttention,
    ColumnAttention,
    FilterTokenizer,
    GlobalAttention,
    NeighborhoodAttention,
    Projector,
    RowAttention,
    ShiftedWindowAttention,
    SpatialReductionAttention,
    StandAloneAttention,
    SummedAxialAttention,
    TokenTransformer,
)
from minimaxvit.seeing import count_paths, depth_to_whole, reach
from minimaxvit.steps import Part, Taps

PAIR = BlockAttention(32, 4), GridAttention(32, 4)
DEPTHS = {
    "MaxViT": (PAIR, 2),
    "grid first": (PAIR[::-1], 2),
    "block attention alone": (PAIR[:1], None),
    "Swin": ((PAIR[0], ShiftedWindowAttention(32, 4)), 7),
    "Twins": ((PAIR[0], SpatialReductionAttention(32, 4)), 2),
    "PVT": ((SpatialReductionAttention(32, 4),), 1),
    "ViT": ((GlobalAttention(32),), 1),
    "axial": ((ColumnAttention(32), RowAttention(32)), 2),
    "axial, summed": ((SummedAxialAttention(32),), 2),
    "neighborhoods of 3": ((NeighborhoodAttention(32, 3),), 14),
    "neighborhoods of 7": ((NeighborhoodAttention(32, 7),), 4),
    "stand-alone, 3": ((StandAloneAttention(32, 3),), 15),
    "visual tokens": ((FilterTokenizer(32), TokenTransformer(32), Projector(32)), 3),
}


@pytest.mark.parametrize("layers, depth", DEPTHS.values(), ids=DEPTHS)
def test_the_whole_map_of_16_x_16_is_seen_after_as_many_layers(layers, depth):
    assert depth_to_whole(layers, 16, 16, most=20) == depth


def test_it_is_what_gradients_say_layer_after_layer():
    layers = [randomize(part) for part in (MBConv(8, 32, 2), BlockAttention(32, 2))]

    def run(x):
        for layer in layers:
            x = layer(x)
        return (x,)

    found = reach(layers, 8, 12)
    assert found.shape == (4, 6, 8, 12)
    measured = measured_reads(run, noise(1, 8, 8, 12))
    assert torch.equal(found.flatten(2).flatten(0, 1), measured) and measured.all()
    found = reach(layers, 8, 12, gates=False).flatten(2).flatten(0, 1)
    steps = [step for layer in layers for step in layer.steps()]
    assert torch.equal(found, said_reads(steps, 8, 12)) and not found.all()


def test_a_pair_reaches_what_its_paths_reach():
    found = reach(PAIR, 16, 16)
    for query in ((0, 0), (5, 9), (15, 2)):
        parts = [part.partition for part in PAIR]
        assert torch.equal(found[query], torch.tensor(count_paths(parts, 16, 16, 4, query) > 0))


def test_tokens_beside_the_map_lead_on_but_have_no_row():
    gather, spread = FilterTokenizer(32), Projector(32)
    assert torch.equal(reach([gather], 4, 8).flatten(2).flatten(0, 1), torch.eye(32).bool())
    assert reach([gather, spread], 4, 8).shape == (4, 8, 4, 8)
    assert reach([gather, spread], 4, 8).all()


@pytest.mark.parametrize("layer", [ClassAttention(32), Projector(32)])
def test_a_layer_for_tokens_that_no_layer_began_says_so(layer):
    with pytest.raises(ValueError, match="tokens beside the map, and no layer before began any"):
        reach([layer], 4, 4)


def test_a_map_that_does_not_fit_is_refused_by_the_part_that_it_does_not_fit():
    told = "BlockAttention gets a map of 16 x 18 tokens, which is not divisible by 4"
    with pytest.raises(ValueError, match=told):
        reach(PAIR, 16, 18)


def test_a_part_that_reads_nothing_new_never_sees_the_whole_map():
    class Nothing(Part):
        """Leaves a map as it is."""

        def steps(self):
            return (Taps(torch.nn.Identity()),)

    assert depth_to_whole([Nothing()], 2, 2, most=5) is None
    assert torch.equal(reach([Nothing()], 2, 3).flatten(2).flatten(0, 1), torch.eye(6).bool())
