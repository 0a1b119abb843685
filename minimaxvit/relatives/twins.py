"""Twins: block attention looks near, and spatial-reduction attention sees a summary of every block.

It is a line of configuration. MaxViT has the same rhythm of near and far, but its grid reads single
tokens of all blocks in place of one summary of each. Block attention here is MaxViT's, with a bias
for relative positions; Twins has none and relies on the conditional position encoding, which stands
after the first layer of a stage. The official networks reduce by 8, 4, 2 and 1 at window 7.
Source: Chu et al. 2021, "Twins: Revisiting the Design of Spatial Attention in Vision Transformers",
section 3.2.
"""

from dataclasses import replace

from ..block import BlockAttention
from ..configs import CONFIGS
from .cpe import ConditionalPositions
from .pvt import SpatialReductionAttention

PAIR = (BlockAttention, ConditionalPositions, SpatialReductionAttention)

# On the last map, of 4 x 4 tokens, a block is the whole map, and its one summary would say little.
TWINS = replace(
    CONFIGS["compact"],
    parts=(PAIR, PAIR, (BlockAttention, ConditionalPositions, BlockAttention)),
)
CONFIGS["twins"] = TWINS
