"""The hub over HTTP, under ``/api/v1``: what people and programs may ask and do, each with a token of enough scope.

``app`` puts it together; ``calls`` says who calls and answers a repeated request as the first time; ``problems`` turns
errors into problem+json; the other modules have the routes, one noun each. The handlers are plain functions: the server
runs them in threads, and the store is not asynchronous.
"""
