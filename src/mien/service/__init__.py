"""The HTTP service: an API and a web page for the recognizer.

`mien serve` starts it. `app.create_app` returns the application for any ASGI server.
"""
