"""Plain CNN for small images: convolutions of stride 1, which only max pooling between them makes smaller.

All stages have one to three convolutions of one width, and all but the first pool their input. The form suits
accelerators that have neither strides nor depthwise convolution and pool on the way into a convolution, such as
MAX78000, and runs wherever two-dimensional convolutions do.
"""

from hannah_hw import (
    CategoricalParameter,
    IntScalarParameter,
    Tensor,
    dynamic_depth,
    scope,
    search_space,
)
from hannah_hw.blocks import batch_norm, conv2d, linear
from hannah_hw.operators import AdaptiveAvgPooling, MaxPooling, Relu


@scope
def conv_bn_relu(x, out_channels):
    """Convolution of stride 1, batch normalisation, ReLU."""
    kernel_size = CategoricalParameter([1, 3], name="kernel_size", default=3)
    return Relu()(batch_norm(conv2d(x, out_channels, kernel_size)))


@scope
def stage(x, max_convolutions, pool=None):
    """Pooling, if any, and up to some convolutions of one width."""
    width = IntScalarParameter(8, 64, step_size=8, name="out_channels", default=32)
    if pool is not None:
        x = MaxPooling(pool, stride=2, padding=0)(x)
    exits = []
    for _ in range(max_convolutions):
        x = conv_bn_relu(x, width)
        exits.append(x)
    return dynamic_depth(*exits, switch=IntScalarParameter(0, max_convolutions - 1, name="depth"))


@search_space
def pooled_cnn(input_shape=(1, 28, 28), classes=10, max_pools=3, max_convolutions=3):
    """The space; each pooling halves height and width."""
    x = Tensor("input", (1, *input_shape), axis=("N", "C", "H", "W"))
    x = stage(x, max_convolutions)
    exits = []
    for _ in range(max_pools):
        # A window larger than the step overlaps its neighbours.
        x = stage(x, max_convolutions, IntScalarParameter(2, 3, name="pool_size"))
        exits.append(x)
    x = dynamic_depth(
        *exits, switch=IntScalarParameter(0, max_pools - 1, name="depth", default=max_pools - 1)
    )
    return linear(AdaptiveAvgPooling(1)(x), classes)
