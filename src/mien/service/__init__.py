"""The service: an HTTP API and a page over the recognizer, on this machine.

`mien serve` starts it. `create_app` gives the application to any ASGI server.
"""
