"""Parts of ``benchmarks/search_quality.py``: problems, peers, accounting and statistics."""
