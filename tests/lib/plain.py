"""Daemons without sanitizers, which do not mix with LD_PRELOAD shims, and the shims."""
import os
import subprocess

import server as servers
from tap import Skip


def plain_build():
    """The directory of a build without sanitizers."""
    for folder in (os.environ.get("BUILD_PLAIN"), os.environ.get("BUILD"), os.path.join(servers.ROOT, "build")):
        path = folder and os.path.join(folder, "vestnikd")
        if path and os.access(path, os.X_OK):
            libs = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
            if "libasan" not in libs and "libubsan" not in libs and "libtsan" not in libs:
                return folder
    raise Skip("no vestnikd without sanitizers (BUILD_PLAIN)")


def plain_vestnikd():
    """Its daemon."""
    return os.path.join(plain_build(), "vestnikd")


def shim(name, folder):
    """Compiles tests/lib/NAME.c into a library for LD_PRELOAD; its path."""
    out = os.path.join(folder, name + ".so")
    subprocess.run(["cc", "-O1", "-D_GNU_SOURCE", "-shared", "-fPIC", "-fvisibility=hidden", "-I" + servers.ROOT, "-include", "base/poison.h",
                    "-o", out, os.path.join(servers.ROOT, "tests", "lib", name + ".c"), "-ldl"], check=True)
    return out


def make_plain(**kw):
    """A server object that runs the plain daemon."""
    daemon = plain_vestnikd()
    srv = servers.make("vestnik", **kw)
    srv.command = lambda: [daemon, "-c", srv.conf]
    return srv
