"""Complete tasks: train, evaluate, export, watch a video, draw faces.

Each module combines `mien.training`, `mien.recognition` and `mien.evaluation`, takes a
`mien.workflows.reporter.Reporter` for messages and progress, and prints nothing. The command, the service, the
benchmarks and Python users call the same functions:

    import mien

    run = mien.train("fer2013.csv", epochs=20, out="runs/mine")
    print(run.evaluate("PrivateTest"))
"""
