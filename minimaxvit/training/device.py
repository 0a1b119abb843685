"""Where to compute, how precisely, and how to keep every core of a CPU busy."""

import copy
import platform
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from ..layers import StochasticDepth
from ..modes import keeping_modes

MAX_WORKERS = 4  # each gets a part of the batch, which must be large enough for batch norm


@dataclass(frozen=True)
class DeviceSettings:
    """Where and how to compute; it changes speed and digits, not what is learned.

    Each of the `workers` is a thread with a part of every batch: see `DataParallelGradients`.
    """

    name: str
    bf16: bool
    compile: bool = False
    workers: int = 1

    def autocast(self):
        return torch.autocast(self.name.split(":")[0], torch.bfloat16, self.bf16)

    def describe(self):
        """Describe in plain values what the network runs on, for a record."""
        settings = {
            "device" if name == "name" else name: value for name, value in asdict(self).items()
        }
        return settings | {
            "processor": torch.cpu.get_capabilities().get("cpu_name") or platform.processor(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name(self.name) if self.name.startswith("cuda") else None,
            "system": platform.platform(),
        }


def choose_device(name=None, bf16=None, compile=False):
    """Take the GPU if there is one, and bf16 where the hardware has it; arguments override that.

    Raises ValueError for a device that is not there, or if it cannot compile and shall.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"cannot compute on device {name!r}: {why}") from None
    if bf16 is None and name.startswith("cuda"):
        with torch.cuda.device(name):
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    elif bf16 is None:
        able = torch.cpu.get_capabilities()
        bf16 = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    if compile:
        _check_compiler(name)
    workers = min(MAX_WORKERS, torch.get_num_threads()) if name == "cpu" and not compile else 1
    return DeviceSettings(name, bf16, compile, workers)


def _check_compiler(name):
    """Raise ValueError where torch.compile cannot work: the first step would find it too late."""
    try:
        torch.compile(torch.neg)(torch.ones(1, device=name))
    except Exception as error:  # of many kinds, in many modules of torch
        why = str(error).strip().splitlines()[0]
        raise ValueError(f"cannot compile for {name}, do without: {why}") from None


class DataParallelGradients:
    """Compute the gradient of a batch with one thread per part of it; a context manager.

    The maps of a small network give a single operator too little work to divide among cores, so
    the batch is divided instead. All parts see the same weights; batch norm sees one part.
    """

    def __init__(self, model, device):
        self.device, self.undo = device, ExitStack()
        self.undo.callback(torch.set_num_threads, torch.get_num_threads())
        self.undo.enter_context(keeping_modes(model)).train()
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        # All threads draw from one random state: they would race, and no run could be repeated.
        workers = 1 if any(map(_is_random, model.modules())) else device.workers
        shared = {id(weight): weight for weight in model.parameters()}
        others = [copy.deepcopy(model, dict(shared)) for _ in range(workers - 1)]
        self.models = [torch.compile(model) if device.compile else model, *others]
        for each in (model, *others) if device.bf16 and device.name == "cpu" else ():
            self.undo.callback(keep_strided_depthwise_in_fp32(each))
        each = max(1, torch.get_num_threads() // workers)
        self.pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(each,))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pool.shutdown()
        self.undo.close()

    def __call__(self, loss, images, labels):
        """Leave the gradient of the mean `loss(logits, labels)` in .grad; return loss and logits.

        `loss` must be a mean over images. Shapes: images (b, 3, h, w), labels (b,).
        """
        workers = min(len(self.models), len(labels))
        if workers == 1:  # in this thread, the one that a CUDA graph records
            value, logits, gradients = self._of_part(loss, self.models[0], images, labels)
            for weight, gradient in zip(self.weights, gradients, strict=True):
                weight.grad = gradient
            return value, logits
        parts = images.tensor_split(workers), labels.tensor_split(workers)
        futures = [
            self.pool.submit(self._of_part, loss, model, *part)
            for model, *part in zip(self.models, *parts, strict=False)
        ]
        losses, logits, gradients = zip(*(future.result() for future in futures), strict=True)
        fractions = [len(part) / len(labels) for part in logits]
        for weight, *several in zip(self.weights, *gradients, strict=True):
            weight.grad = _weighted_sum(fractions, several)
        return _weighted_sum(fractions, losses), torch.cat(logits)

    def _of_part(self, loss, model, images, labels):
        with self.device.autocast():
            logits = model(images)
        value = loss(logits.float(), labels)
        return value.detach(), logits.detach(), torch.autograd.grad(value, self.weights)


def _weighted_sum(fractions, terms):
    return sum(fraction * term for fraction, term in zip(fractions, terms, strict=True))


def _is_random(module):
    return isinstance(module, StochasticDepth) and module.rate > 0 or isinstance(module, _DropoutNd)


def keep_strided_depthwise_in_fp32(model):
    """Exclude these convolutions from autocast: on a CPU their gradient is very slow in bf16.

    Returns what undoes that.
    """

    def in_fp32(forward):
        return torch.autocast("cpu", enabled=False)(lambda x: forward(x.float()))

    undo = ExitStack()
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1 and module.stride != (1, 1):
            module.forward = in_fp32(module.forward)
            undo.callback(delattr, module, "forward")
    return undo.close
