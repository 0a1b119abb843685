"""The networks elsewhere: torch.export, ONNX in onnxruntime, torch.compile with inductor."""

import os
import re
import shutil
import sysconfig
from dataclasses import replace
from functools import cache
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from helpers import noise, randomize

from minimaxvit import CONFIGS, MAXVIT_PARTS, MaxViT, maxvit, pretrained

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
(SECTION,) = re.findall(r"^## Export\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
(CODE,) = re.findall(r"^```python\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)

SIDES = {"compact": 32, "tiny": 224}
ANY_NUMBER = ({0: torch.export.Dim("batch")},)

# Of the largest logit. Exported programs run the operators of the network itself, in its order. In
# float32 onnxruntime and inductor have kernels of their own, which add in another order: with 24
# bits a number is rounded by 6e-8, and after the layers of tiny 1.4e-6 was seen. In float64,
# for which onnxruntime has no convolution, what is left of that is far below 1e-9.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}


def some_images(b, side, dtype):
    """Images of different colors, so that no two have nearly the same logits."""
    return (noise(b, 3, side, side, seed=b) + 3 * noise(b, 3, 1, 1, seed=b + 1)).to(dtype)


@torch.no_grad()
def check_same(run, model, sizes=(1, 3, 5)):
    """Fail unless `run` gives the logits of the network, for batches of each of these sizes."""
    dtype, side = model.head.classify.weight.dtype, model.config.image_size
    for b in sizes:
        images = some_images(b, side, dtype)
        logits = model(images)
        close = TOLERANCE[dtype] * logits.abs().max().item()
        torch.testing.assert_close(run(images), logits, rtol=0, atol=close)
        if b > 1:  # else logits of the wrong image might pass
            assert torch.pdist(logits, torch.inf).min() > 100 * close


def in_onnxruntime(path):
    """Load a file into onnxruntime. Returns the function from images to logits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


@cache
def exported(name, dtype=torch.float32):
    """A network of random weights and its program, made with two images."""
    model = randomize(maxvit(name)).to(dtype)
    example = some_images(2, SIDES[name], dtype)
    return model, torch.export.export(model, (example,), dynamic_shapes=ANY_NUMBER)


@pytest.mark.parametrize(
    "name, dtype",
    [
        ("compact", torch.float32),
        ("compact", torch.float64),
        pytest.param("tiny", torch.float32, marks=pytest.mark.slow),
    ],
)
def test_an_exported_network_takes_any_number_of_images(name, dtype):
    model, program = exported(name, dtype)
    check_same(program.module(), model)


@pytest.mark.parametrize("name", ["compact", pytest.param("tiny", marks=pytest.mark.slow)])
def test_a_network_in_onnxruntime_takes_any_number_of_images(name, tmp_path):
    (model, program), path = exported(name), tmp_path / f"{name}.onnx"
    torch.onnx.export(
        program,
        f=path,
        dynamo=True,
        opset_version=20,
        external_data=False,
        input_names=["images"],
        output_names=["logits"],
    )
    onnx.checker.check_model(path, full_check=True)
    check_same(in_onnxruntime(path), model)


@pytest.mark.slow
def test_the_files_that_the_readme_exports_do_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(CODE, {})
    assert {file.name for file in tmp_path.iterdir()} == {"compact.pt2", "compact.onnx"}
    model = pretrained("compact")
    check_same(torch.export.load("compact.pt2").module(), model)
    check_same(in_onnxruntime("compact.onnx"), model)

    written = onnx.load("compact.onnx")
    sides = written.graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_param or side.dim_value for side in sides] == ["batch", 3, 32, 32]
    assert [(each.domain, each.version) for each in written.opset_import] == [("", 20)]
    operators = {node.op_type for node in written.graph.node}
    assert "Gelu" in operators and "Erf" not in operators


HAS_COMPILER = shutil.which(os.environ.get("CXX", "g++")) is not None
HAS_HEADERS = Path(sysconfig.get_path("include"), "Python.h").is_file()


@pytest.mark.slow
@pytest.mark.skipif(not HAS_COMPILER, reason="there is no C++ compiler")
@pytest.mark.skipif(not HAS_HEADERS, reason="there is no C++ compiler with Python's headers")
def test_inductor_compiles_the_network_once_for_any_number_of_images(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # else it may find an older one
    torch._dynamo.reset()
    one_stage = replace(
        CONFIGS["compact"], dims=(96,), depths=(1,), parts=(MAXVIT_PARTS,), strides=2
    )
    model = randomize(MaxViT(one_stage)).float()  # it has every kind of operator
    compiled = torch.compile(model, fullgraph=True)
    first = some_images(2, 32, torch.float32)
    torch._dynamo.mark_dynamic(first, 0)
    with torch.no_grad():
        compiled(first)
    with torch.compiler.set_stance("fail_on_recompile"):
        check_same(compiled, model, (2, 3, 5))
