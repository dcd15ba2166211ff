#!/usr/bin/python3
"""usage: slix_chats.py DOMAIN PORT   slixmpp's XEP-0045 in a chat of anna's: created, joined, talked in, left and found again. Exit code 0 when all came true."""
import asyncio
import collections

import slixmpp
from slix import DOMAIN, WAIT_S, Person, check

ROOM = slixmpp.JID("slix@chats." + DOMAIN)
Joined = collections.namedtuple("Joined", "self_presence subject occupants history")
NAMES = {"anna": "Anna Petrova", "boris": "Boris Ivanov", "clara": "Clara Zetkin"}


class Occupant(Person):
    def __init__(self, name, resource):
        super().__init__(name, resource, ["xep_0045", "xep_0059", "xep_0203", "xep_0249", "xep_0313", "xep_0359"])
        self.nick = NAMES[name]
        self.said = asyncio.Queue()
        self.add_event_handler("groupchat_message", self.said.put_nowait)

    async def join(self, **history):
        """Joins, which slixmpp takes for done when presences and subject came; history is not heard again by hears()."""
        joined = Joined(*await self["xep_0045"].join_muc_wait(ROOM, self.nick, timeout=WAIT_S, **history))
        for _ in joined.history:
            self.said.get_nowait()
        return joined

    def say(self, text):
        self.send_message(ROOM, text, mtype="groupchat")

    async def hears(self, author, text):
        while True:
            m = await asyncio.wait_for(self.said.get(), WAIT_S)
            if m["from"].resource:
                break  # what the chat itself says is no matter of these tests
        check((m["from"].resource, m["body"]) == (NAMES[author], text), "%s hears %s say %r: %s" % (self.boundjid.user, author, text, m))
        return m

    async def hears_nothing_more(self):
        """Whatever the server sent before the answer to a ping has arrived."""
        await self["xep_0199"].ping(DOMAIN, timeout=WAIT_S)
        left = [self.said.get_nowait() for _ in range(self.said.qsize())]
        check(not [m for m in left if m["from"].resource], "%s hears nothing more: %s" % (self.boundjid.user, left))

    async def leave(self):
        """slixmpp forgets the room at once and tells nobody of the answer; what is sent before a ping is done before its answer."""
        self["xep_0045"].leave_muc(ROOM, self.nick)
        await self["xep_0199"].ping(DOMAIN, timeout=WAIT_S)


async def come(name, resource="desk"):
    p = Occupant(name, resource)
    await p.online()
    return p


def missed(joined):
    """Bodies of the history of a join that are of people."""
    return [m["body"] for m in joined.history if m["from"].resource]


async def create(anna, boris):
    joined = await anna.join()
    check(110 in joined.self_presence["muc"]["status_codes"] and 201 in joined.self_presence["muc"]["status_codes"], "anna creates a chat")
    config = await anna["xep_0045"].get_room_config(ROOM)
    config["type"] = "submit"
    config.get_fields()["muc#roomconfig_roomname"]["value"] = "Slix"
    await anna["xep_0045"].set_room_config(ROOM, config)
    info = await boris["xep_0030"].get_info(ROOM)
    check("Slix" in [i[3] for i in info["disco_info"]["identities"]], "its name can be set by the form")
    joined = await boris.join()
    check("Anna Petrova" in [p["from"].resource for p in joined.occupants], "boris joins and sees who is there")
    rooms = await boris["xep_0030"].get_items(ROOM.domain)
    check(str(ROOM) in [str(i[0]) for i in rooms["disco_items"]["items"]] or len(rooms["disco_items"]["items"]) > 0, "the service lists its chats")


async def talk(anna, boris):
    anna.say("hello all")
    await anna.hears("anna", "hello all")
    m = await boris.hears("anna", "hello all")
    check(m["stanza_id"]["by"] == ROOM, "with the id of the chat: %s" % m)
    boris.say("hello anna")
    await anna.hears("boris", "hello anna")
    await boris.hears("boris", "hello anna")
    boris.say("/getChatId")
    await boris.hears("boris", "/getChatId")
    while True:
        m = await asyncio.wait_for(boris.said.get(), WAIT_S)
        if m["body"].startswith("The ID of this chat is "):
            break
    await anna.hears_nothing_more()


async def next_day(anna, boris):
    """Two clients without an archive come back: one left, the other lost its connection; each gets what it missed, and once."""
    old = await come("clara", "old")
    check(missed(await old.join()) == ["hello all", "hello anna"], "who is new in an open chat gets what was said")
    await boris.leave()
    anna.say("boris has gone")
    await anna.hears("anna", "boris has gone")
    await old.hears("anna", "boris has gone")
    await old.bye()
    anna.say("clara too")
    await anna.hears("anna", "clara too")
    await boris.bye()
    boris, old = await asyncio.gather(come("boris", "tomorrow"), come("clara", "tomorrow"))
    b, c = await asyncio.gather(boris.join(), old.join())
    check(missed(b) == ["boris has gone", "clara too"], "boris gets what was said after he left: %s" % missed(b))
    check(missed(c) == ["clara too"], "clara gets what was said after her connection ended: %s" % missed(c))
    check(all(m["delay"]["stamp"] for m in b.history + c.history), "with its time")
    await boris.leave()
    check(not missed(await boris.join()), "joining again brings nothing twice")
    await boris.leave()
    again = await boris.join(maxstanzas=3)
    check(len(again.history) == 3, "unless it is asked for: %s" % missed(again))
    for p in (anna, boris, old):
        await p.hears_nothing_more()
    return boris, old


async def kick_and_invite(anna, boris, clara):
    gone = clara.wait_for("muc::%s::got_offline" % ROOM)
    await anna["xep_0045"].set_role(ROOM, NAMES["clara"], "none", reason="for a test")
    left = await gone
    check(307 in left["muc"]["status_codes"], "clara is taken out: %s" % left)
    await clara.leave()  # slixmpp passes over invitations to a room that it takes for joined
    invited = clara.wait_for("groupchat_invite")
    anna["xep_0045"].invite(ROOM, "clara@" + DOMAIN, "come back")
    m = await invited
    check(m["muc"]["invite"]["from"].bare == "anna@" + DOMAIN and m["muc"]["invite"]["reason"] == "come back", "and invited by the chat")
    await clara.join()
    await anna["xep_0045"].set_affiliation(ROOM, "none", jid="clara@" + DOMAIN)
    invited = clara.wait_for("groupchat_direct_invite")
    boris["xep_0249"].send_invitation(slixmpp.JID("clara@" + DOMAIN), ROOM, reason="directly")
    m = await invited
    check(m["groupchat_invite"]["jid"] == ROOM, "and by boris himself")
    await clara.join()
    check(NAMES["boris"] in clara["xep_0045"].get_roster(ROOM), "clara is in again")


async def archive(clara):
    texts = []
    async for m in clara["xep_0313"].iterate(jid=ROOM, rsm={"max": 3}):
        texts.append(m["mam_result"]["forwarded"]["stanza"]["body"])
    spoken = ["hello all", "hello anna", "boris has gone", "clara too"]
    check([t for t in texts if t in spoken] == spoken, "the archive of the chat is whole, in order, without doubles: %s" % texts)
    check("/getChatId" not in texts, "and has no questions to the chat")


async def main():
    anna, boris = await asyncio.gather(come("anna"), come("boris"))
    await create(anna, boris)
    await talk(anna, boris)
    boris, clara = await next_day(anna, boris)
    await kick_and_invite(anna, boris, clara)
    await archive(clara)
    await anna["xep_0045"].destroy(ROOM)
    await asyncio.gather(anna.bye(), boris.bye(), clara.bye())


asyncio.get_event_loop().run_until_complete(asyncio.wait_for(main(), 100))
