"""Layered drawings: no box overlaps another one or a line that passes it, lines run down and join what edges join."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hannah_hw.report.layers import Edge, Vertex, arrange

GAP, DOWN = 10.0, 20.0


@st.composite
def graphs(draw):
    """Up to nine boxes, and edges from earlier to later ones."""
    sizes = st.integers(0, 60).map(float)
    vertices = [Vertex(draw(sizes), draw(sizes)) for _ in range(draw(st.integers(1, 9)))]
    pairs = [(a, b) for b in range(len(vertices)) for a in range(b)]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=14)) if pairs else []
    return vertices, [Edge(a, b, f"{a}") for a, b in dict.fromkeys(chosen)]


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_boxes_and_lines_keep_apart(graph):
    vertices, edges = graph
    placed = arrange(vertices, edges, across=GAP, down=DOWN)
    boxes = [(x, y, x + v.width, y + v.height) for v, (x, y) in zip(vertices, placed.corners, strict=True)]
    for index, (left, top, right, bottom) in enumerate(boxes):
        assert min(left, top) >= -1e-6
        assert right <= placed.width + 1e-6
        assert bottom <= placed.height + 1e-6
        for other in boxes[:index]:
            beside = left >= other[2] + GAP - 1e-6 or other[0] >= right + GAP - 1e-6
            assert beside or top >= other[3] + DOWN - 1e-6 or other[1] >= bottom + DOWN - 1e-6
    for edge in edges:
        assert boxes[edge.head][1] >= boxes[edge.tail][3] + DOWN - 1e-6
    for line in placed.lines:
        assert line.start[1] - 1e-6 <= line.bend[0] <= line.bend[1] <= line.stop[1] + 1e-6
        # Where it is vertical it touches no box but the one that it leaves.
        x, y = line.start
        for left, top, right, bottom in boxes:
            assert not (left < x < right and y + 1e-6 < bottom and top < line.bend[0] - 1e-6)


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_lines_join_what_edges_join(graph):
    vertices, edges = graph
    placed = arrange(vertices, edges, across=GAP, down=DOWN)
    reached = {}
    for edge in edges:
        x, y = placed.corners[edge.tail]
        tail = vertices[edge.tail]
        points = [(x + tail.width / 2, y + tail.height)]
        found, seen = set(), set()
        while points:
            point = points.pop()
            for number, line in enumerate(placed.lines):
                near = abs(line.start[0] - point[0]) < 1e-6 and abs(line.start[1] - point[1]) < 1e-6
                if line.net == edge.net and near and number not in seen:
                    seen.add(number)
                    if line.head is None:
                        points.append(line.stop)
                    else:
                        found.add(line.head)
        reached[edge.tail] = found
    for edge in edges:
        assert edge.head in reached[edge.tail]
    assert sum(line.head is not None for line in placed.lines) == len(edges)


def test_a_chain_is_straight_and_a_cycle_ends():
    boxes = [Vertex(30, 10), Vertex(50, 10), Vertex(10, 10)]
    placed = arrange(boxes, [Edge(0, 1, "a"), Edge(1, 2, "b")], across=GAP, down=DOWN)
    assert list(placed.corners) == [(10, 0), (0, 30), (20, 60)]
    assert all(line.start[0] == line.stop[0] == 25 for line in placed.lines)
    around = arrange(boxes, [Edge(0, 1, "a"), Edge(1, 2, "b"), Edge(2, 0, "c")], across=GAP, down=DOWN)
    assert around.corners[0][1] < around.corners[1][1] < around.corners[2][1]
    assert len(around.lines) == 3


def test_ends_are_in_the_first_and_the_last_layer():
    boxes = [Vertex(0, 0, "top"), Vertex(20, 20), Vertex(20, 20), Vertex(0, 0, "bottom")]
    placed = arrange(boxes, [Edge(0, 2, "x"), Edge(1, 2, "a"), Edge(1, 3, "a")], across=GAP, down=DOWN)
    heights = [y for _, y in placed.corners]
    assert heights[0] == 0
    assert heights[3] == max(heights) == placed.height
    assert 0 < heights[1] < heights[2] < heights[3]


def test_ports_are_where_their_box_says():
    boxes = [Vertex(20, 10), Vertex(100, 10, entries={"a": 90.0}, exits={"b": 5.0}), Vertex(20, 10)]
    placed = arrange(boxes, [Edge(0, 1, "a"), Edge(1, 2, "b")])
    into, out = placed.lines
    left = placed.corners[1][0]
    assert into.stop[0] == left + 90
    assert out.start[0] == left + 5
