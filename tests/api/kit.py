"""A client of /api/v1 for the tests: JSON in, (status, JSON) out."""
import http.client
import json

import openapi


class Api:
    def __init__(self, srv, token=None, person=None):
        self.port, self.token, self.person = srv.ports["http"], token, person

    def call(self, method, path, body=None, raw=None, **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        lines = {"Content-Type": "application/json"}
        if self.token:
            lines["Authorization"] = "Bearer " + self.token
        if self.person:
            lines["Vestnik-As"] = str(self.person)
        lines.update({k.replace("_", "-"): v for k, v in headers.items()})
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        try:
            c.request(method, path, body=data, headers=lines)
            r = c.getresponse()
            text = r.read()
            self.headers = {k.lower(): v for k, v in r.getheaders()}
            value = json.loads(text) if text else None
            openapi.check(method, path, r.status, value)
            return r.status, value
        finally:
            c.close()

    def want(self, status, method, path, body=None, **kw):
        have, value = self.call(method, path, body, **kw)
        assert have == status, "%s %s: %s %r, expected %d" % (method, path, have, value, status)
        return value

    def error(self, status, code, method, path, body=None, **kw):
        value = self.want(status, method, path, body, **kw)
        assert value["error"]["code"] == code and len(value["error"]["text"]) > 10, value
        return value


def sign_on(srv, login, password):
    return Api(srv, Api(srv).want(201, "POST", "/api/v1/session", {"login": login, "password": password})["token"])


def service(srv, name, scopes):
    return Api(srv, srv.ctl("token", "add", "--name", name, "--scope", scopes).stdout.strip().splitlines()[-1])
