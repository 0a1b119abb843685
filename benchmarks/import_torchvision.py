"""Import torchvision, which the benchmarks and the tests compare with."""

import importlib
import sys

import torch


def import_torchvision():
    """Import torchvision (as timm does), also where its compiled operators are missing.

    The package index's build is for CUDA; beside a CPU build of torch its import stops at two
    operators, which no MaxViT needs, so declaring them is enough.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    global operators  # they live as long as this does
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("torchvision")
