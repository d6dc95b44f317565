"""Use a recognizer: the light wing, without Keras."""

from mien.recognition.runtime import refuse_faulty_runtime

refuse_faulty_runtime()  # before any of its modules imports ONNX Runtime
