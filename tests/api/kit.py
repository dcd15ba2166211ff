"""A client of /api/v1 for the tests: JSON in, (status, JSON) out."""
import http.client
import json

import openapi


class Events:
    """An open event stream; next() waits for an event: (name, id, data)."""

    def __init__(self, api, last=None):
        self.conn = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
        self.conn.request("GET", "/api/v1/events", headers=dict({"Authorization": "Bearer " + api.token}, **({"Last-Event-ID": last} if last else {})))
        self.answer = self.conn.getresponse()
        assert self.answer.status == 200, self.answer.read()
        openapi.seen.add(("GET", "/api/v1/events"))
        first = self.answer.readline()
        assert first.startswith(b":") or last, first

    def next(self):
        got = {}
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            if not line and "event" in got:
                return got["event"], got.get("id"), json.loads(got["data"])
            assert line or self.answer.fp, "the stream ended"
            key, colon, value = line.partition(": ")
            if colon and key:
                got[key] = value

    def ended(self):
        while self.answer.readline():
            pass
        return True

    def close(self):
        self.answer.close()
        self.conn.close()


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
