"""Dumps of many kernels against what their guests printed before they died."""
