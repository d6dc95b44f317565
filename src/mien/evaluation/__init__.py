"""Evaluate classifiers: metrics, calibration, figures and reports.

Any function from gray face crops to class probabilities can be evaluated, whatever framework it uses.

>>> from mien.evaluation.scoring import evaluate
>>> evaluation = evaluate(classifier.probabilities, dataset, class_names=classifier.class_names)  # doctest: +SKIP
"""
