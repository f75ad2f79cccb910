"""The page's engine gives what the library gives: drawings prepared alike, logits, address weights."""

from __future__ import annotations

import base64
import functools

import numpy as np
import pytest
import torch
from PIL import Image

from fastslow import load_pretrained
from fastslow.data import make_glyphs
from fastslow.data.preparation import prepare
from fastslow.errors import InputError
from fastslow.methods.config import preset
from fastslow.methods.files import load_model
from fastslow.methods.learner import _prepared
from fastslow.play.page import ENGINE, MODEL, model_bytes, refuse_others
from play.javascript import needs_node, run_script

#: What is done before a model is read, in a browser of this kind; the kernels in use are counted.
BROWSERS = {
    "with vectors": """
        const { Instance } = WebAssembly;
        let kernels = 0;
        WebAssembly.Instance = class extends Instance { constructor(...all) { super(...all); kernels++; } };
    """,
    "without vectors": """
        let kernels = 0;
        WebAssembly.Module = function () { throw new WebAssembly.CompileError("no vectors"); };
    """,
    "without WebAssembly": "let kernels = 0; globalThis.WebAssembly = undefined;",
}
#: Teaches one drawing of each of the first classes, then asks about the others; drawings are pictures to be prepared.
ANSWERS = """
const engine = createEngine(bytesOf(given.model));
const prepared = given.pictures.map(({ bytes, width, height, options }) => {
  const grey = { pixels: Float32Array.from(bytesOf(bytes), (byte) => byte / 255), width, height };
  return prepare(grey, 28, options);
});
const features = prepared.map((image) => engine.embed(image));
const slots = features.slice(0, given.numClasses).map((row, label) => engine.write(row, label));
const answers = features.slice(given.numClasses).map((row) => engine.answer(row, slots));
return {
  kernels,
  prepared: prepared.map((image) => Array.from(image)),
  logits: answers.map(({ logits }) => Array.from(logits)),
  weights: answers.map(({ weights }) => Array.from(weights)),
};
"""


def base64_of(array):
    return base64.b64encode(array.tobytes()).decode("ascii")


def on_paper(image, seed):
    """A drawing at another size, somewhere on a larger page; every third dark on a page that is not quite even."""
    rng = np.random.default_rng(seed)
    edge = int(rng.integers(60, 120))
    page = np.zeros((edge + 40, edge + 60), np.uint8)
    top, left = rng.integers(1, 39), rng.integers(1, 59)
    page[top : top + edge, left : left + edge] = Image.fromarray(image).resize((edge, edge), Image.Resampling.BICUBIC)
    if seed % 3 == 0:
        noise = rng.integers(0, 4, page.shape)
        return (250 - 0.9 * page - noise).astype(np.uint8)
    return page


@functools.cache
def pictures_of(num_classes):
    """A drawing of each class to be learned, and ten more of each."""
    images = make_glyphs(num_classes=num_classes, per_class=11, seed=9).images.reshape(num_classes, 11, 28, 28).numpy()
    drawings = np.concatenate([images[:, 0], images[:, 1:].reshape(-1, 28, 28)])
    return [on_paper(drawing, seed) for seed, drawing in enumerate(drawings)]


@functools.cache
def taught(num_classes):
    """Prepared drawings, logits and address weights by the library."""
    prepared = np.stack([prepare(picture, size=28, crop=True) for picture in pictures_of(num_classes)])
    model = load_pretrained(MODEL.removeprefix("pretrained:"), ink="as_is")
    model.learn(prepared[:num_classes], list(range(num_classes)))
    with torch.inference_mode():
        look = model.method.memory.look(
            model._features(torch.from_numpy(_prepared(model, prepared[num_classes:]))).unsqueeze(0), model.state
        )
    logits = model.decision_function(prepared[num_classes:])
    return prepared, logits, look.address_weights[0, :, :num_classes].numpy()


#: Sums of random rows by the kernel, and the same by plain JavaScript; and which kind of array they are in.
SUMS = """
const uneven = (i) => Math.sin(12.9 * i);
return given.map(({ width, count }) => {
  const [quick, plain] = [createAdder(200 * width + 1000, [width, 16]), plainAdder()];
  const [found, wanted] = [quick, plain].map((adder) => {
    const list = createList(100, adder);
    return { list, weights: adder.floats(100 * width), result: adder.floats(3 * width), addRows: adder.addRows };
  });
  for (let i = 0; i < 100 * width; i++) found.weights[i] = wanted.weights[i] = uneven(i);
  for (let i = 0; i < 3 * width; i++) found.result[i] = wanted.result[i] = i / width;
  for (let n = 0; n < count; n++) {
    found.list.rows[n] = wanted.list.rows[n] = (37 * n + 5) % 100;
    found.list.factors[n] = wanted.list.factors[n] = uneven(n + 0.5);
  }
  for (const { list, weights, result, addRows } of [found, wanted]) {
    list.count = count;
    addRows(result, width, weights, width, list);
  }
  return { found: Array.from(found.result), wanted: Array.from(wanted.result), kind: found.result.constructor.name };
});
"""


@needs_node
def test_the_kernel_adds_what_plain_javascript_adds_and_widths_that_it_lacks_are_left_to_that(tmp_path):
    given = [{"width": width, "count": count} for width in (16, 48, 128, 20) for count in (0, 1, 7, 8, 33, 100)]
    for case, got in zip(given, run_script(tmp_path, ENGINE, SUMS, given), strict=True):
        found, wanted = np.array(got["found"]), np.array(got["wanted"])
        outside = np.r_[: case["width"], 2 * case["width"] : 3 * case["width"]]
        assert found == pytest.approx(wanted, abs=1e-5), case
        assert found[outside] == pytest.approx(outside / case["width"], abs=1e-6)
        start = 1 + np.arange(case["width"]) / case["width"]
        assert (np.ptp(wanted[case["width"] : 2 * case["width"]] - start) > 0.1) == (case["count"] > 0)
        assert got["kind"] == ("Float64Array" if case["width"] == 20 else "Float32Array")


@needs_node
@pytest.mark.parametrize("browser", [*BROWSERS])
def test_logits_are_the_librarys_on_200_drawings(tmp_path, browser):
    num_classes = 20
    prepared, logits, weights = taught(num_classes)
    given = {
        "model": base64_of(np.frombuffer(model_bytes(load_model(MODEL)), np.uint8)),
        "numClasses": num_classes,
        "pictures": [
            {"bytes": base64_of(picture), "width": picture.shape[1], "height": picture.shape[0], "options": {}}
            for picture in pictures_of(num_classes)
        ],
    }
    found = run_script(tmp_path, ENGINE, BROWSERS[browser] + ANSWERS, given)
    assert found["kernels"] == (browser == "with vectors")
    assert len(found["logits"]) == 200
    assert np.abs(np.array(found["prepared"]) - prepared.reshape(len(prepared), -1)).max() < 1e-5
    assert np.abs(np.array(found["logits"]) - logits).max() < 1e-3
    assert np.abs(np.array(found["weights"]) - weights).max() < 1e-3
    assert (np.array(found["logits"]).argmax(1) == logits.argmax(1)).all()


@needs_node
@pytest.mark.parametrize("wanted", [6, 7])
def test_rows_and_columns_that_pooling_leaves_out_are_not_computed(tmp_path, wanted):
    code = """
    const tensors = { "c.weight": new Float32Array(9 * 16).fill(1) };
    for (const part of ["weight", "bias", "running_mean", "running_var"]) {
      tensors[`n.${part}`] = new Float32Array(16).fill(1);
    }
    const conv = foldedConvolution(plainAdder(), tensors, "c", "n", 16, 7, given.wanted);
    return Array.from(convolve(new Float32Array(49).fill(1), conv));
    """
    computed = np.array(run_script(tmp_path, ENGINE, code, {"wanted": wanted})).reshape(7, 7, 16) != 0
    assert computed[:wanted, :wanted].all()
    assert computed.sum() == wanted * wanted * 16


@pytest.mark.parametrize("change", [{"method": "protonet"}, {"write_gate": True}, {"views": True}, {"image_size": 32}])
def test_a_model_that_the_page_cannot_run_is_refused(change):
    config = preset(**{"name": "default", **change})
    with pytest.raises(InputError, match=f"{next(iter(change))}.*give one such as"):
        refuse_others(config)
