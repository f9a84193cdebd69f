"""Nothing is served without the token of the printed address."""

from __future__ import annotations

import tornado.httpclient
import tornado.testing
import tornado.web

from membrane_dask.explorer.access import require_token

TOKEN, PORT = "secret-of-this-server", 5006


class _Page(tornado.web.RequestHandler):
    def get(self) -> None:
        self.write("contents")


class AccessTest(tornado.testing.AsyncHTTPTestCase):
    def get_app(self) -> tornado.web.Application:
        application = tornado.web.Application([("/.*", _Page)])
        require_token(application, TOKEN, PORT)
        return application

    def get(self, path: str, cookie: str = "") -> tornado.httpclient.HTTPResponse:
        return self.fetch(path, headers={"Cookie": cookie} if cookie else {}, follow_redirects=False)

    def test_requests_without_the_token_are_refused(self):
        for path in ("/", "/static/js/bokeh.min.js", "/ws", "/?token=", "/?token=secret", "/?token=%ff"):
            assert self.get(path).code == 403, path
        for cookie in (f"membrane-dask-{PORT}=other", f"membrane-dask-1={TOKEN}", f"token={TOKEN}"):
            assert self.get("/", cookie).code == 403, cookie

    def test_the_address_stores_the_token_and_leaves_it_out(self):
        answer = self.get(f"/run?path=a%20b&token={TOKEN}")
        assert answer.code == 302
        assert answer.headers["Location"] == "/run?path=a+b"
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        page = self.get(answer.headers["Location"], cookie.partition(";")[0])
        assert (page.code, page.body) == (200, b"contents")
