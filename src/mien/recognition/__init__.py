"""Find faces and recognize their expressions in images and videos, without Keras.

>>> from mien.recognition.recognizer import Recognizer
>>> faces = Recognizer()("photo.jpg")  # doctest: +SKIP
"""

from mien.recognition.runtime import refuse_faulty_runtime

refuse_faulty_runtime()  # before a module of this package imports ONNX Runtime
