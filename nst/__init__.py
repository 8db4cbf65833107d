"""nst: train, export and run feed-forward style transfer networks.

Importing this package loads neither torch nor ONNX Runtime; import the module that you need.
"""

__version__ = "0.1.0"
