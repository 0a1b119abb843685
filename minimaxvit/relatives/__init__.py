"""MaxViT's relatives in the same frame, a file each; a network is named in `minimaxvit.CONFIGS`."""

from .axial import AXIAL, ColumnAttention, RowAttention, SummedAxialAttention
from .bit import BIT, GroupNormUnit, StandardizedConv3x3
from .cait import ClassAttention, ClassTokenStem
from .ceit import CEIT, ImageToTokens, LocallyEnhancedAttention, LocallyEnhancedFeedForward
from .coatnet import COATNET, GlobalRelativeAttention
from .convit import CONVIT, GatedMultiHeadAttention, GatedPositionalAttention, offsets
from .convnext import CONVNEXT, ConvNeXtBlock, NormedDownsample
from .cpe import ConditionalPositions
from .deit import (
    DEIT,
    DistilledHead,
    DistilledPatchEmbedding,
    hard_distillation,
    predict_apart,
    soft_distillation,
)
from .hybrid import CONVOLUTIONS, HYBRID, ConvStem, PooledConvs
from .mixer import MIXER, MixerLayer, PatchProjection
from .mobilevit import MOBILEVIT, MobileViTBlock, UnfoldedAttention, fold, unfold
from .nat import NAT, NeighborhoodAttention, neighborhoods
from .pvt import PVT, SpatialReductionAttention
from .resnet import RESNET, ResidualUnit, ResNetStem
from .sasa import SASA, SlidingAttention, StandAloneAttention, sliding_windows
from .swin import SWIN, PatchMerging, ShiftedWindowAttention
from .t2t import T2T, SplitEmbedding, TokensToToken, TokensToTokenStem, sinusoids
from .twins import TWINS
from .van import VAN, ConvFeedForward, LargeKernelAttention
from .video_swin import (
    ShiftedVideoWindowAttention,
    VideoWindowAttention,
    video_partition,
    video_reverse,
)
from .visual_tokens import (
    VISUAL_TOKENS,
    FilterTokenizer,
    Projector,
    RecurrentTokenizer,
    TokenPart,
    TokenTransformer,
)
from .vit import VIT, ClassTokenHead, GlobalAttention, MultiHeadAttention, PatchEmbedding
from .xcit import XCIT, CrossCovarianceAttention, XCiTLayer
