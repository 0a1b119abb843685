"""MaxViT from scratch, to be read from `partition` to `network`: each file uses those before it."""

from .attention import RelativeAttention
from .block import MAX_SA, MAXVIT, BlockAttention, FeedForward, GridAttention, MaxViTBlock
from .compact import FullStem, PooledConvs
from .mbconv import MBConv, SqueezeExcite
from .network import CONFIGS, MaxViT, MaxViTConfig, maxvit
from .partition import block_partition, block_reverse, grid_partition, grid_reverse
from .position import RelativePositionBias, relative_position_index
from .weights import load, load_timm, pretrained, pretrained_record, save
