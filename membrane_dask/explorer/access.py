"""Access to the pages: nothing is served without the token of the printed address."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import urlencode

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, ErrorHandler, RequestHandler


class _SignIn(RequestHandler):
    """Store the token of the address in a cookie, and go on without it: the address of a page is not a secret."""

    def initialize(self, cookie: str, token: str) -> None:
        self.cookie, self.token = cookie, token

    def get(self) -> None:
        self.set_cookie(self.cookie, self.token, httponly=True, samesite="Strict", path="/")
        names = [name for name in self.request.arguments if name != "token"]
        query = urlencode([(name, value) for name in names for value in self.get_arguments(name)])
        self.redirect(self.request.path + (f"?{query}" if query else ""))


def require_token(application: Application, token: str, port: int) -> None:
    """Answer every request without the token, pages, scripts and sockets alike, with error 403.

    Parameters
    ----------
    application : tornado.web.Application
        The application, changed in place.
    token : str
        The secret: in the query of the first request, in a cookie of the later ones.
    port : int
        Port of the server: browsers send cookies to all ports of a host.
    """
    cookie, find_handler = f"membrane-dask-{port}", application.find_handler

    def is_token(text: str) -> bool:
        return hmac.compare_digest(text.encode(), token.encode())

    def guarded(request: HTTPServerRequest, **arguments: Any) -> Any:
        if any(is_token(value.decode("latin-1")) for value in request.query_arguments.get("token", ())):
            values = {"cookie": cookie, "token": token}
            return application.get_handler_delegate(request, _SignIn, values)
        if cookie in request.cookies and is_token(request.cookies[cookie].value):
            return find_handler(request, **arguments)
        return application.get_handler_delegate(request, ErrorHandler, {"status_code": 403})

    application.find_handler = guarded  # type: ignore[method-assign]
