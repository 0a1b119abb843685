"""Replay a training step as one CUDA graph.

A small network has many small kernels, and a GPU may wait for the next one to be launched. A graph
is recorded once and launches all of them together.
"""

import torch

WARM_UP = 4  # steps before recording: they compile, allocate, and let libraries choose kernels


class CapturedStep:
    """Do `step(*inputs)`, which returns tensors, by replaying what was recorded of it.

    All inputs must be tensors on one GPU and keep their shapes. What `step` reads must stay where
    it is, so the optimizers' learning rates become tensors; what it does in Python happens once.
    """

    def __init__(self, step, optimizers):
        self.step, self.optimizers = step, optimizers
        self.calls, self.graph = 0, None

    def __call__(self, *inputs):
        self.calls += 1
        with torch.cuda.device(inputs[0].device):
            if self.calls <= WARM_UP:
                return self._on_another_stream(inputs)
            if self.graph is None:
                self._record(inputs)
            for kept, new in zip(self.inputs, inputs, strict=True):
                kept.copy_(new)
            self.graph.replay()
            return [output.clone() for output in self.outputs]

    def _on_another_stream(self, inputs):
        """Run as usual, but as recording demands: not on the stream that everything else is on."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            outputs = self.step(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return outputs

    def _record(self, inputs):
        for group in (group for each in self.optimizers for group in each.param_groups):
            group["capturable"] = True  # torch's own optimizers ask to be told
            group["lr"] = torch.tensor(group["lr"], device=inputs[0].device)
        self.inputs = [tensor.clone() for tensor in inputs]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = self.step(*self.inputs)
