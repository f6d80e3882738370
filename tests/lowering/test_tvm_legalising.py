"""What an operation becomes is remembered, and is what TVM's own pass makes of it."""

import importlib.util
import subprocess
import sys
import textwrap

import pytest

needs_tvm = pytest.mark.skipif(
    importlib.util.find_spec("tvm") is None, reason="the extra tvm is not installed"
)

#: TVM is imported in a process of its own: what ends its process would end the tests.
PRELUDE = """
    import warnings
    warnings.simplefilter("ignore")
    from tvm import relax
    from tvm.relax import op
    from tvm_ffi import structural_equal
    from hannah_hw.lowering.tvm.legalising import Legaliser

    def module(shape, build):
        x, y = (relax.Var(name, relax.TensorType(shape, "float32")) for name in "xy")
        builder = relax.BlockBuilder()
        with builder.function("main", [x, y]):
            with builder.dataflow():
                result = builder.emit_output(build(builder.emit, x, y))
            builder.emit_func_output(result)
        return builder.get()

    def same(legalise, module):
        return structural_equal(relax.transform.LegalizeOps()(module), legalise(module))
"""


def run(script):
    code = textwrap.dedent(PRELUDE) + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@needs_tvm
def test_remembered_kernels_are_those_of_the_pass():
    found = run(
        """
        legalise = Legaliser()
        def network(emit, x, y):
            twice, both = emit(op.add(x, x)), emit(op.add(x, y))
            joined = emit(op.concat([twice, both], axis=1))
            first = emit(op.split(joined, 2, axis=1))[0]
            moved = emit(op.permute_dims(emit(op.reshape(first, (1, 8, 2))), [0, 2, 1]))
            one, other = (emit(op.multiply(moved, relax.const(f))) for f in (2.0, 3.0))
            return emit(op.nn.softmax(emit(op.subtract(one, other)), axis=1))
        for shape in ((1, 4, 4), (1, 4, 4), (1, 2, 8)):
            before = legalise.hits
            print(same(legalise, module(shape, network)), legalise.hits - before)
        """
    )
    # The second network is the first again: all of its ten operations are known. Of the third, which is of another
    # shape, only what follows the reshaping is.
    assert found == ["True", "0", "True", "10", "True", "5"]


@needs_tvm
def test_attributes_and_operands_that_differ_are_other_kernels():
    found = run(
        """
        legalise = Legaliser()
        for axis in (1, 2):
            print(same(legalise, module((1, 4, 4), lambda emit, x, y: emit(op.nn.softmax(x, axis=axis)))))
        for build in (
            lambda emit, x, y: emit(op.add(x, y)),
            lambda emit, x, y: emit(op.add(x, x)),
            lambda emit, x, y: emit(op.add(y, x)),
            lambda emit, x, y: emit(op.concat([x, y, x], axis=1)),
            lambda emit, x, y: emit(op.concat([x, x, y], axis=1)),
        ):
            print(same(legalise, module((1, 4, 4), build)))
        print(legalise.hits)
        """
    )
    # Only y + x is x + y again.
    assert found == ["True"] * 7 + ["1"]


@needs_tvm
def test_the_type_of_a_convolution_is_what_tvm_infers():
    found = run(
        """
        legalise, builder = Legaliser(), relax.BlockBuilder()
        def tensor(name, *shape):
            return relax.Var(name, relax.TensorType(shape, "float32"))
        flat, image = tensor("f", 2, 4, 16), tensor("i", 1, 6, 9, 7)
        calls = [
            (op.nn.conv1d, flat, tensor("w", 8, 2, 3), dict(strides=2, padding=(1, 0), groups=2)),
            (op.nn.conv2d, image, tensor("w", 4, 6, 3, 2), dict(strides=(2, 1), padding=(1, 0, 1, 1))),
            (op.nn.conv2d, image, tensor("w", 6, 1, 3, 3), dict(dilation=(2, 3), groups=6)),
        ]
        for operation, data, weights, attributes in calls:
            mine = legalise.result_type(operation(data, weights, **attributes))
            theirs = builder.normalize(operation(data, weights, **attributes)).ty
            print(structural_equal(mine, theirs))
        print(legalise.result_type(op.add(image, image)), legalise.result_type(image))
        """
    )
    assert found == ["True"] * 3 + ["None"] * 2
