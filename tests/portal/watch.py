#!/usr/bin/python3
"""slixmpp over TCP that prints what it is told, one JSON line per message; lines on its input are rooms to join. usage: watch.py PORT DOMAIN USER PASSWORD"""
import asyncio
import json
import ssl
import sys

import slixmpp

PORT, DOMAIN, USER, PASSWORD = int(sys.argv[1]), *sys.argv[2:5]


def say(**what):
    print(json.dumps(what), flush=True)


class Watch(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__("%s@%s/slixmpp" % (USER, DOMAIN), PASSWORD)
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("disconnected", lambda why: sys.exit(0))
        self.register_handler(slixmpp.xmlstream.handler.Callback(
            "all", slixmpp.xmlstream.matcher.MatchXPath("{jabber:client}message"), self.heard))
        self.register_handler(slixmpp.xmlstream.handler.Callback(
            "present", slixmpp.xmlstream.matcher.MatchXPath("{jabber:client}presence"), self.present))

    def heard(self, m):
        body = m.xml.find("{jabber:client}body")
        say(**{"from": m.xml.get("from"), "type": m.xml.get("type"), "body": body.text if body is not None else None})

    def present(self, p):
        codes = [s.get("code") for s in p.xml.iter("{http://jabber.org/protocol/muc#user}status")]
        say(presence=p.xml.get("from"), self="110" in codes)

    async def started(self, _):
        self.send_presence()
        say(ready=True)
        asyncio.get_event_loop().add_reader(sys.stdin.fileno(), self.told)

    def told(self):
        room = sys.stdin.readline().strip()
        if not room:
            sys.exit(0)
        p = self.make_presence(pto=room)
        p.append(slixmpp.xmlstream.ET.fromstring("<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>"))
        p.send()


w = Watch()
w.connect(("127.0.0.1", PORT))
w.process(forever=True)
