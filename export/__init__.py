"""Exports: a trained model as the native file, ONNX, TFLite or a signed bundle."""
