"""What the tests need before anything else is imported."""

import torch
from hypothesis import settings

# The package index's torchvision is built for CUDA and does not import beside a CPU build of torch:
# its compiled operators are missing. Declaring the two that its import looks for is enough, and
# timm imports torchvision.
_operators = torch.library.Library("torchvision", "FRAGMENT")
if not torch.cuda.is_available():
    for _name in ("nms", "qnms"):
        _operators.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
