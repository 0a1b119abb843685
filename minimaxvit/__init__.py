"""MaxViT from scratch, to be read from `partition` to `configs`: each file uses those before it."""

from . import relatives  # so that `maxvit` and `load` know them
from .attention import RelativeAttention
from .block import MAX_SA, MAXVIT_PARTS, BlockAttention, GridAttention, MaxViTBlock
from .configs import CONFIGS, maxvit
from .dense import padded_features
from .layers import FeedForward
from .mbconv import Downsample, MBConv, SqueezeExcite
from .network import MaxViT, MaxViTConfig
from .partition import block_partition, block_reverse, grid_partition, grid_reverse
from .position import RelativePositionBias, relative_position_index
from .pretrained_networks import pretrained, pretrained_record
from .resize import resize
from .timm_weights import load_timm, to_timm
from .weights import load, register, save
