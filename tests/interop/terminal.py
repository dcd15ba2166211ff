"""Desktop clients in a terminal: profanity and mcabber inside tmux, a person of ours (lib/client.py) on the other side."""
import os
import subprocess
import time

from client import Client

WAIT_S = 30


class Terminal:
    """One program in a tmux server of its own."""

    def __init__(self, srv, command, env):
        self.socket = os.path.join(srv.dir, "tmux.sock")
        self.tmux("new-session", "-d", "-x", "160", "-y", "50", "-s", "t", "env", *["%s=%s" % kv for kv in env.items()], *command)

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *args], capture_output=True, text=True)

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "t").stdout

    def type(self, line):
        self.tmux("send-keys", "-t", "t", "-l", line)
        self.tmux("send-keys", "-t", "t", "Enter")

    def shows(self, *words):
        """Waits until the screen holds one of the words."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            text = self.screen()
            if any(w in text for w in words):
                return text
            time.sleep(0.1)  # a screen tells of no change by itself
        raise AssertionError("the screen never shows %s:\n%s" % (" or ".join(words), text))

    def end(self):
        self.tmux("kill-server")


def friend(srv, domain):
    boris = Client(srv.ports["plain"], domain, "boris", "pw-boris", "friend")
    boris.login()
    boris.iq("get", "<query xmlns='jabber:iq:roster'/>")
    boris.presence()
    return boris


def converse(t, boris, domain, say, open_chat=lambda: None):
    """say(text): the program writes to boris; open_chat(): it shows his answer."""
    if not any(e.name == "presence" and (e["from"] or "").startswith("anna@") for e in boris.kept):
        boris.until(lambda e: e.name == "presence" and (e["from"] or "").startswith("anna@%s/" % domain), WAIT_S)
    say("hello from the terminal")
    el = boris.until(lambda e: e.name == "message" and e.child_text("body") == "hello from the terminal", WAIT_S)
    boris.message(el["from"], "<body>hello terminal, this is Boris</body>")
    open_chat()
    t.shows("hello terminal, this is Boris")
    boris.send("<presence><show>dnd</show><status>deep in work</status></presence>")


def profanity(srv, domain):
    home = os.path.join(srv.dir, "home")
    data = os.path.join(home, ".local", "share", "profanity")
    os.makedirs(data, exist_ok=True)
    with open(os.path.join(data, "accounts"), "w") as f:
        f.write("[anna@{0}]\nenabled=true\njid=anna@{0}\nserver=127.0.0.1\nport={1}\nresource=terminal\npassword=pw-anna\n"
                "tls.policy=trust\n".format(domain, srv.ports["starttls"]))
    boris = friend(srv, domain)
    t = Terminal(srv, ["profanity", "-a", "anna@" + domain], {"HOME": home, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"})
    try:
        t.shows("logged in successfully")
        t.type("/roster")
        if srv.name == "vestnik":
            t.shows("Boris Ivanov", "boris@" + domain)
        converse(t, boris, domain, lambda text: t.type("/msg boris@%s %s" % (domain, text)))
        t.shows("deep in work", "dnd")
        t.type("/quit")
        boris.until(lambda e: e.name == "presence" and e["type"] == "unavailable" and e["from"].startswith("anna@"), WAIT_S)
    finally:
        t.end()
        boris.close()


def mcabber(srv, domain):
    home = os.path.join(srv.dir, "home")
    os.makedirs(os.path.join(home, ".mcabber"), exist_ok=True)
    with open(os.path.join(home, ".mcabber", "mcabberrc"), "w") as f:
        f.write("set jid = anna@%s/terminal\nset password = pw-anna\nset server = 127.0.0.1\nset port = %d\nset tls = 1\n"
                "set ssl_ignore_checks = 1\nset pinentry = 0\n" % (domain, srv.ports["starttls"]))
    os.chmod(os.path.join(home, ".mcabber"), 0o700)
    boris = friend(srv, domain)
    t = Terminal(srv, ["mcabber"], {"HOME": home, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"})
    try:
        if srv.name == "vestnik":
            t.shows("Boris")
        def unread():
            t.shows("#[o]")
            t.type("/roster unread_first")
            t.type("")  # an empty line opens the window of the chosen buddy
        converse(t, boris, domain, lambda text: t.type("/say_to -n boris@%s %s" % (domain, text)), unread)
        t.shows("[d] Boris")
        t.type("/quit")
        boris.until(lambda e: e.name == "presence" and e["type"] == "unavailable" and e["from"].startswith("anna@"), WAIT_S)
    finally:
        t.end()
        boris.close()
