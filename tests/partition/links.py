"""A server behind two network links that can be cut (row D18): the test runs in a network namespace of its own, the daemon in another, with
two veth pairs between them. The namespaces have no names: they are gone with the processes in them, however the test ends."""
import os
import subprocess
import sys

import server as servers
from tap import Skip

INSIDE = "PARTITION_INSIDE"


def enter():
    """Starts this program again in a namespace of its own; Skip with the reason where that cannot be."""
    if os.environ.get(INSIDE):
        return ip("link", "set", "lo", "up")
    flags = "-n" if os.getuid() == 0 else "-rn"
    try:
        run = subprocess.run(["unshare", flags, "ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"], capture_output=True, text=True)
    except FileNotFoundError as e:
        raise Skip("no network namespaces: %s" % e)
    if run.returncode:
        raise Skip("no network namespaces with veth here: " + (run.stderr.strip() or "exit code %d" % run.returncode))
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", flags, sys.executable, *sys.argv])


def ip(*args, namespace=None):
    into = ["nsenter", "-t", str(namespace), "-n"] if namespace else []
    run = subprocess.run([*into, "ip", *args], capture_output=True, text=True)
    if run.returncode:
        raise AssertionError("ip %s: %s" % (" ".join(args), run.stderr.strip()))


class Link:
    """10.77.N.2 here, 10.77.N.1 at the server."""

    def __init__(self, number, holder):
        self.holder, self.ours, self.theirs = holder, "near%d" % number, "far%d" % number
        self.address = "10.77.%d.1" % number
        ip("link", "add", self.ours, "type", "veth", "peer", "name", self.theirs, "netns", str(holder))
        ip("addr", "add", "10.77.%d.2/24" % number, "dev", self.ours)
        ip("link", "set", self.ours, "up")
        ip("addr", "add", self.address + "/24", "dev", self.theirs, namespace=holder)
        self.mend()

    def cut(self):
        """Like a pulled cable at the server's side."""
        ip("link", "set", self.theirs, "down", namespace=self.holder)

    def narrow(self):
        """A black hole for large packets: the far end drops what is longer than 600 bytes and tells nobody."""
        ip("link", "set", self.theirs, "mtu", "600", namespace=self.holder)

    def mend(self):
        ip("link", "set", self.theirs, "mtu", "1500", namespace=self.holder)
        ip("link", "set", self.theirs, "up", namespace=self.holder)


class FarServer(servers.Vestnik):
    """A vestnikd in the other namespace. links: two ways to it."""

    def __init__(self, **kw):
        super().__init__(**kw)
        # ends with its standard input, so with us
        self.holder = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdin.write(b"x")
        self.holder.stdin.flush()
        assert self.holder.stdout.read(1) == b"x", "no second namespace"
        ip("link", "set", "lo", "up", namespace=self.holder.pid)
        self.links = [Link(i, self.holder.pid) for i in range(2)]

    def write_config(self):
        super().write_config()
        with open(self.conf, encoding="utf-8") as f:
            text = f.read()
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(text.replace('"127.0.0.1", port: %d' % self.ports["starttls"], '"0.0.0.0", port: %d' % self.ports["starttls"]))

    def command(self):
        return ["setpriv", "--pdeathsig", "KILL", "nsenter", "-t", str(self.holder.pid), "-n", *super().command()]

    def all_confirmed(self):
        """True when the server's kernel waits for no acknowledgement of TCP data."""
        run = subprocess.run(["nsenter", "-t", str(self.holder.pid), "-n", "ss", "-Htn", "state", "established"], capture_output=True, text=True, check=True)
        return all(line.split()[1] == "0" for line in run.stdout.splitlines())

    def stop(self, timeout_s=30):
        code = super().stop(timeout_s)
        for link in self.links:
            ip("link", "del", link.ours)
        self.links = []
        self.holder.stdin.close()
        self.holder.wait(20)
        return code
