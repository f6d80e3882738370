"""Search spaces: loading them, compiling them for populations, and their candidates."""

from hannah_hw.spaces.assignment import Assignment
from hannah_hw.spaces.encoding import Encoding
from hannah_hw.spaces.loading import load_space, open_space, space_functions
from hannah_hw.spaces.space import Candidate, SearchSpace, as_space

__all__ = [
    "Assignment",
    "Candidate",
    "Encoding",
    "SearchSpace",
    "as_space",
    "load_space",
    "open_space",
    "space_functions",
]
