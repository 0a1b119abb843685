"""Where to compute, how precisely, and how to keep every core of a CPU busy."""

import copy
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import torch

from .mbconv import Conv3x3, StochasticDepth

MOST_WORKERS = 4  # each works on a share of the batch, and batch norm needs a fair number


@dataclass(frozen=True)
class Machine:
    """Where and how to compute; it changes speed and digits, not what is learnt.

    Each of the `workers` is a thread with a share of every batch: see `Gradients`.
    """

    device: str
    bf16: bool
    compile: bool = False
    workers: int = 1

    def autocast(self):
        return torch.autocast(self.device.split(":")[0], torch.bfloat16, self.bf16)

    def describe(self):
        """Say in plain values what computed, as a record should."""
        return asdict(self) | {
            "processor": torch.cpu.get_capabilities().get("cpu_name") or platform.processor(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if self.device.startswith("cuda") else None,
            "system": platform.platform(),
        }


def choose_machine(device=None, bf16=None, compile=False):
    """Take the GPU if there is one, and bf16 where the hardware multiplies in it; or as told.

    Raises ValueError for a device that is not there.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(f"cannot compute on device {device!r}: {why}") from None
    if bf16 is None and device.startswith("cuda"):
        bf16 = torch.cuda.is_bf16_supported()
    elif bf16 is None:
        able = torch.cpu.get_capabilities()
        bf16 = bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    workers = min(MOST_WORKERS, torch.get_num_threads()) if device == "cpu" and not compile else 1
    return Machine(device, bf16, compile, workers)


class Gradients:
    """Compute the gradients of a batch, a share of it on each core; a context manager.

    The maps of a small network give one operator too little work to divide among cores, so the
    pictures are divided instead. All shares see the same weights; batch norm sees one share.
    """

    def __init__(self, model, machine):
        self.machine, model = machine, model.train()
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        # Stochastic depth draws from one source of chance: threads would race, no run be repeated.
        drops = any(isinstance(part, StochasticDepth) and part.rate for part in model.modules())
        workers = 1 if drops else machine.workers
        shared = {id(weight): weight for weight in model.parameters()}
        others = [copy.deepcopy(model, dict(shared)) for _ in range(workers - 1)]
        self.models = [torch.compile(model) if machine.compile else model, *others]
        if machine.bf16 and machine.device == "cpu":
            for each in (model, *others):
                keep_strided_depthwise_in_fp32(each)
        self.threads = torch.get_num_threads()
        each = max(1, self.threads // workers)
        self.pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(each,))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pool.shutdown()
        torch.set_num_threads(self.threads)

    def __call__(self, loss, images, labels):
        """Leave the gradient of the mean of `loss(logits, labels)` in .grad; return it and logits.

        `loss` must be a mean over pictures. Shapes: images (b, 3, h, w), labels (b,).
        """
        workers = min(len(self.models), len(labels))
        shares = images.tensor_split(workers), labels.tensor_split(workers)
        futures = [
            self.pool.submit(self._share, loss, model, *share)
            for model, *share in zip(self.models, *shares, strict=False)
        ]
        losses, logits, gradients = zip(*(future.result() for future in futures), strict=True)
        parts = [len(share) / len(labels) for share in logits]
        for weight, *several in zip(self.weights, *gradients, strict=True):
            weight.grad = sum(part * one for part, one in zip(parts, several, strict=True))
        mean = sum(part * one for part, one in zip(parts, losses, strict=True))
        return mean, torch.cat(logits)

    def _share(self, loss, model, images, labels):
        with self.machine.autocast():
            logits = model(images)
        value = loss(logits.float(), labels)
        return value.detach(), logits.detach(), torch.autograd.grad(value, self.weights)


def keep_strided_depthwise_in_fp32(model):
    """Except them from autocast: their gradient crawls in bf16 on a CPU."""

    def in_fp32(forward):
        return torch.autocast("cpu", enabled=False)(lambda x: forward(x.float()))

    for module in model.modules():
        if isinstance(module, Conv3x3) and module.groups > 1 and module.stride == (2, 2):
            module.forward = in_fp32(module.forward)
