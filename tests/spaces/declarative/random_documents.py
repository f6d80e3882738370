"""Random documents of the own format: random blocks with random values and parameters in every field."""

import yaml
from hypothesis import strategies as st

#: Values of most fields: small, so that networks are, and often ones that do not fit together.
SMALL = (1, 2, 3, 4, 6, 8)


def searched(numbers=SMALL):
    """A value of a field that may be a parameter."""
    number = st.sampled_from(numbers)
    several = st.lists(number, min_size=1, max_size=3, unique=True)
    top = max(numbers)
    return st.one_of(
        number,
        number,
        st.builds(lambda options: {"choice": options}, several),
        st.builds(lambda low, step: {"int": {"min": low, "max": top + low, "step": step}}, number, number),
        st.builds(
            lambda low: {"int": {"min": low, "max": top, "log": True}}, st.just(min(n for n in numbers if n))
        ),
    )


def lists(length, numbers=SMALL):
    """A value of a field that may be a list, mostly of a length."""
    number = st.sampled_from(numbers)
    sizes = st.sampled_from([length, length, length, 1, length + 1])
    sized = sizes.flatmap(lambda n: st.lists(searched(numbers), min_size=n, max_size=n))
    plain = st.lists(number, min_size=length, max_size=length)
    return st.one_of(
        searched(numbers),
        sized,
        st.builds(
            lambda default: {"code": {"default": default, "choices": sorted({*default, *numbers})}}, plain
        ),
        st.builds(
            lambda options: {"choice": options},
            st.lists(plain, min_size=1, max_size=2, unique_by=tuple),
        ),
    )


def codes(length):
    """A list of bits, some of which may keep their number of ones."""
    bits = st.lists(st.sampled_from([0, 1]), min_size=length, max_size=length)
    return st.one_of(
        bits,
        lists(length, (0, 1)),
        st.builds(
            lambda default, ones: {"code": {"default": default, "choices": [0, 1], "ones": ones}},
            bits,
            st.sampled_from(["keep", "free"]),
        ),
    )


def doublings(length):
    """A list of bits of which few are ones in every candidate, so that networks stay small."""
    bits = st.sets(st.integers(0, length - 1), max_size=2).map(
        lambda ones: [int(i in ones) for i in range(length)]
    )
    kept = bits.map(lambda default: {"code": {"default": default, "choices": [0, 1], "ones": "keep"}})
    return st.one_of(bits, kept)


def some(fields, **required):
    """A block with the required fields and some of the others."""
    return st.builds(
        lambda given, rest: {**given, **{k: v for k, (keep, v) in rest.items() if keep == 0}},
        st.fixed_dictionaries(required),
        st.fixed_dictionaries({name: st.tuples(st.integers(0, 2), value) for name, value in fields.items()}),
    )


def block(type, fields, **required):
    return some(fields, type=st.just(type), **required)


GROUPED = {"groups": searched((1, 1, 2)), "base_width": searched((64, 64, 32, 128))}
INNER = st.one_of(
    block("BasicBlock", {"inner_plane": searched()}),
    block("BottleneckBlock", GROUPED),
    st.builds(
        lambda one, other, default: {"choice": [one, other], "default": default},
        block("BasicBlock", {"inner_plane": searched()}),
        block("BottleneckBlock", GROUPED),
        st.integers(0, 1),
    ),
)
STEMS = st.one_of(
    block("InitialBlock", {}, init_plane=searched()),
    block("SmallInputInitialBlock", {}, init_plane=searched()),
)
BLOCKS = st.one_of(
    block(
        "BasicBlock",
        {"stride": searched((1, 2, 3)), "inner_plane": searched(), "inchannel": st.sampled_from(SMALL)},
        outchannel=searched(),
    ),
    block(
        "BottleneckBlock",
        {"stride": searched((1, 2)), "inchannel": st.sampled_from(SMALL), **GROUPED},
        outchannel=searched((1, 2, 4)),
    ),
    block("ShortCut", {"expansion": searched((1, 2, 4)), "stride": searched((1, 2))}, outchannel=searched()),
)
LAYERS = st.one_of(
    block(
        "BasicLayer",
        {"in_plane": st.sampled_from(SMALL), "expansion": st.sampled_from([1, 4]), **GROUPED},
        block=INNER,
        layer_reps=lists(2, (1, 2)),
        base_channel=searched((2, 4)),
    ),
    st.integers(1, 3).flatmap(
        lambda length: block(
            "VariantLayer",
            {"out_plane": st.sampled_from(SMALL), "expansion": st.sampled_from([1, 4]), **GROUPED},
            block=INNER,
            doublechannel=codes(length),
            downsample=codes(length),
        )
    ),
    st.integers(1, 3).flatmap(
        lambda length: block(
            "Repeat",
            {},
            num_reps=st.one_of(st.just(length), searched((1, 2, 3))),
            ref=INNER,
            items=some(
                {
                    "stride": lists(length, (1, 2)),
                    "inner_plane": lists(length),
                    "inchannel": lists(length),
                },
                outchannel=lists(length, (2, 4)),
            ),
        )
    ),
)
POOLS = block("AdaptiveAvgPool2d", {"output_size": st.one_of(searched((1, 2)), st.just([1, 2]))})
HEADS = st.one_of(
    st.lists(
        st.one_of(block("View", {}), block("Linear", {}, out_features=searched((8, 12)))),
        min_size=1,
        max_size=3,
    ),
    block(
        "LinearClassificationHead", {"base_channel": st.sampled_from(SMALL)}, num_class=searched((5, 8))
    ).map(lambda head: [head]),
)
WHOLE = st.one_of(
    st.integers(2, 3).flatmap(
        lambda length: block(
            "ResNet",
            {"out_plane": st.sampled_from([4, 8])},
            depth=st.just(2 + 2 * length),
            block=INNER,
            num_reps=st.just(length),
            init_plane=searched((4, 8)),
            num_class=searched((5, 8)),
            items=some({"stride": lists(length, (1, 2))}, outchannel=lists(length, (4, 8))),
        )
    ),
    block(
        "ResNetVariant",
        {"num_class": searched((5, 8)), "small_input": st.booleans()},
        base_depth=st.just(18),
        base_channel=searched((2, 4)),
        doublechannel=doublings(8),
        downsample=codes(8),
    ),
)
BITS = (2, 4, 8, 32)
PROCESSES = st.one_of(
    block(
        "Quant",
        {
            "nbit_w_list": st.one_of(searched(BITS), lists(5, BITS)),
            "nbit_a_list": st.one_of(searched(BITS), lists(5, BITS)),
            "skip_1st_layer": st.booleans(),
        },
    ),
    block("Prune", {"search": st.booleans(), "step": st.sampled_from([1, 2])}),
)


@st.composite
def documents(draw):
    """The text of a document; about half of them describe a space."""
    if draw(st.integers(0, 3)):
        modules = [draw(STEMS)] if draw(st.integers(0, 3)) else []
        modules += draw(st.lists(st.one_of(BLOCKS, LAYERS), min_size=0, max_size=2))
        modules += draw(st.lists(POOLS, max_size=1)) + draw(st.one_of(st.just([]), HEADS))
    else:
        modules = [draw(WHOLE)]
    data = {
        "format": "hannah-space/1",
        "input": draw(st.sampled_from([[3, 12, 12], [1, 9, 13], [4, 16, 8]])),
        "modules": {f"m{index}": module for index, module in enumerate(modules)},
        "process": draw(st.lists(PROCESSES, max_size=2)),
    }
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=None)
