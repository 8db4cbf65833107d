"""From a trained network to an ONNX file that has been compared with it."""
