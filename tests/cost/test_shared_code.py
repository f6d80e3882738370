"""Code that several kernel classes need is there once, as soon as one of them is."""

import pytest

from hannah_hw.cost import price
from hannah_hw.cost.coefficients import CodePart, cost_model_text, load_cost_model
from hannah_hw.spaces import load_space
from hannah_hw.targets import load_target


def test_shared_code_counts_once_for_whoever_needs_it(tmp_path):
    target, model = load_target("stm32l4r5zi:cmsis_nn"), load_cost_model("m4/cmsis_nn")
    space = load_space("mlperf_tiny:resnet8")
    workload = space.candidate(space.default()).workload()
    used = {row.kernel_class for row in price(workload, target).report().kernels}
    unused = sorted(set(model.classes) - used)
    one, two = sorted(used)[:2]

    def code(*parts):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.yaml"
        runtime = model.runtime.model_copy(update={"code_shared": parts})
        path.write_text(cost_model_text(model.model_copy(update={"runtime": runtime})))
        changed = target.model.model_copy(update={"coefficients": str(path)})
        return price(workload, target.model_copy(update={"model": changed})).code_bytes[0]

    plain = code()
    assert code(CodePart(classes=(one, two), bytes=100)) == pytest.approx(plain + 100)
    assert code(CodePart(classes=(one, unused[0]), bytes=100)) == pytest.approx(plain + 100)
    assert code(CodePart(classes=tuple(unused[:2]), bytes=100)) == pytest.approx(plain)
    both = code(CodePart(classes=(one, two), bytes=100), CodePart(classes=(two, unused[0]), bytes=7))
    assert both == pytest.approx(plain + 107)
