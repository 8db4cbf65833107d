"""From an ONNX style file and pictures to painted pictures; needs no torch."""
