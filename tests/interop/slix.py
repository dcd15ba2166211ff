#!/usr/bin/python3
"""usage: slix.py DOMAIN PORT   slixmpp talks to the server: accounts anna and boris, passwords pw-NAME. Exit code 0 when all came true."""
import asyncio
import ssl
import sys

import slixmpp

DOMAIN, PORT = sys.argv[1], int(sys.argv[2])
WAIT_S = 20


class Person(slixmpp.ClientXMPP):
    def __init__(self, name, resource, plugins=()):
        super().__init__("%s@%s/%s" % (name, DOMAIN, resource), "pw-" + name)
        for p in ("xep_0030", "xep_0199", *plugins):
            self.register_plugin(p)
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE
        self.arrived = asyncio.Queue()
        self.presences = {}
        self.seen = asyncio.Condition()
        self.add_event_handler("message", self.arrived.put_nowait)
        self.add_event_handler("presence_available", self.on_presence)
        self.add_event_handler("presence_unavailable", self.on_presence)

    async def on_presence(self, p):
        async with self.seen:
            self.presences[p["from"].full] = p["type"]
            self.seen.notify_all()

    async def online(self):
        """Logs in, fetches the roster, becomes available."""
        started = self.wait_for("session_start")
        self.connect(("127.0.0.1", PORT))
        await started
        await self.get_roster()
        self.send_presence()

    def wait_for(self, event):
        """Listens from now on; to be awaited later."""
        done = asyncio.get_event_loop().create_future()
        self.add_event_handler(event, lambda data: done.done() or done.set_result(data), disposable=True)
        return asyncio.wait_for(done, WAIT_S)

    async def text(self):
        return (await asyncio.wait_for(self.arrived.get(), WAIT_S))["body"]

    async def presence_of(self, jid, kind="available"):
        async with self.seen:
            await asyncio.wait_for(self.seen.wait_for(lambda: self.presences.get(jid) == kind), WAIT_S)

    async def bye(self):
        gone = self.wait_for("disconnected")
        self.disconnect()
        await gone


def check(good, what):
    if not good:
        raise AssertionError(what)
    print("ok", what, flush=True)


async def talk():
    anna, boris = Person("anna", "desk"), Person("boris", "desk")
    await asyncio.gather(anna.online(), boris.online())
    names = set(anna.client_roster)
    if "prosody" not in sys.argv:
        check("boris@" + DOMAIN in names, "the company is the roster: %s" % sorted(names))
        await anna.presence_of("boris@%s/desk" % DOMAIN)
        check(True, "presence of a colleague arrives")
    anna.send_message("boris@" + DOMAIN, "привет, Boris & <co>", mtype="chat")
    check(await boris.text() == "привет, Boris & <co>", "a message arrives")
    boris.send_message("anna@%s/desk" % DOMAIN, "answer", mtype="chat")
    check(await anna.text() == "answer", "the answer arrives")
    info = await anna["xep_0030"].get_info(DOMAIN)
    check("urn:xmpp:ping" in info["disco_info"]["features"], "service discovery")
    check(await anna["xep_0199"].ping(DOMAIN, timeout=WAIT_S) >= 0, "ping")
    await boris.bye()
    if "prosody" not in sys.argv:
        await anna.presence_of("boris@%s/desk" % DOMAIN, "unavailable")
        check(True, "the colleague is seen to leave")
    return anna


async def offline(anna):
    for i in range(3):
        anna.send_message("boris@" + DOMAIN, "while you were away %d" % i, mtype="chat")
    await anna["xep_0199"].ping(DOMAIN, timeout=WAIT_S)
    boris = Person("boris", "late", ["xep_0203"])
    await boris.online()
    for i in range(3):
        m = await asyncio.wait_for(boris.arrived.get(), WAIT_S)
        check(m["body"] == "while you were away %d" % i and m["delay"]["stamp"] is not None, "offline message %d with its time" % i)
    return boris


async def carbons(anna, boris):
    phone = Person("anna", "phone", ["xep_0280"])
    got = asyncio.Queue()
    phone.add_event_handler("carbon_received", lambda m: got.put_nowait(("received", m["carbon_received"]["body"])))
    phone.add_event_handler("carbon_sent", lambda m: got.put_nowait(("sent", m["carbon_sent"]["body"])))
    await phone.online()
    await phone["xep_0280"].enable()
    boris.send_message("anna@%s/desk" % DOMAIN, "copy me", mtype="chat")
    check(await anna.text() == "copy me", "the message reaches its resource")
    check(await asyncio.wait_for(got.get(), WAIT_S) == ("received", "copy me"), "carbon of a received message")
    anna.send_message("boris@" + DOMAIN, "copy this too", mtype="chat")
    check(await boris.text() == "copy this too", "the other side gets it")
    check(await asyncio.wait_for(got.get(), WAIT_S) == ("sent", "copy this too"), "carbon of a sent message")
    await phone.bye()


async def archive():
    reader = Person("anna", "reader", ["xep_0313", "xep_0059"])
    await reader.online()
    texts = []
    async for m in reader["xep_0313"].iterate(with_jid=slixmpp.JID("boris@" + DOMAIN), rsm={"max": 3}):
        texts.append(m["mam_result"]["forwarded"]["stanza"]["body"])
    check(texts[:2] == ["привет, Boris & <co>", "answer"], "the archive starts with the first message: %s" % texts)
    check("copy this too" in texts and len(texts) == len(set(texts)), "the archive is whole and without doubles")
    await reader.bye()


async def resume(anna):
    mobile = Person("boris", "mobile", ["xep_0198"])
    await mobile.online()
    await mobile["xep_0199"].ping(DOMAIN, timeout=WAIT_S)
    check(bool(mobile["xep_0198"].sm_id), "stream management is on")
    resumed = mobile.wait_for("session_resumed")
    lost = mobile.wait_for("disconnected")
    mobile.abort()
    await lost
    anna.send_message("boris@%s/mobile" % DOMAIN, "in the tunnel", mtype="chat")
    mobile.connect(("127.0.0.1", PORT))
    await resumed
    check(True, "the session is resumed")
    check(await mobile.text() == "in the tunnel", "what was sent meanwhile arrives")
    await mobile.bye()


async def main():
    anna = await talk()
    boris = await offline(anna)
    await carbons(anna, boris)
    await archive()
    await resume(anna)
    await asyncio.gather(anna.bye(), boris.bye())


if __name__ == "__main__":
    asyncio.get_event_loop().run_until_complete(asyncio.wait_for(main(), 100))
