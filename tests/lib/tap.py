"""Test Anything Protocol on stdout, and the final line that `./dev test` counts."""
import sys
import time
import traceback


class Tap:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def ok(self, good, name, diag=""):
        n = self.passed + self.failed + self.skipped + 1
        print("%sok %d - %s" % ("" if good else "not ", n, name))
        if not good and diag:
            for line in str(diag).splitlines():
                print("# " + line)
        sys.stdout.flush()
        if good:
            self.passed += 1
        else:
            self.failed += 1
        return good

    def skip(self, name, why):
        self.skipped += 1
        print("ok %d - %s # SKIP %s" % (self.passed + self.failed + self.skipped, name, why))
        sys.stdout.flush()

    def run(self, name, fn, *args):
        """Runs fn; an exception is a failure with its trace."""
        began = time.monotonic()
        try:
            fn(*args)
        except Skip as e:
            self.skip(name, str(e))
            return True
        except Exception as e:  # noqa: a test may fail by any exception; it is shown
            trace = "".join(traceback.format_tb(e.__traceback__)[-3:]) if type(e).__name__ != "Failure" else ""
            return self.ok(False, name, "%s: %s\n%s" % (type(e).__name__, e, trace))
        return self.ok(True, "%s (%d ms)" % (name, (time.monotonic() - began) * 1000))

    def note(self, text):
        for line in str(text).splitlines():
            print("# " + line)
        sys.stdout.flush()

    def done(self):
        print("1..%d" % (self.passed + self.failed + self.skipped))
        print("%d passed, %d failed" % (self.passed, self.failed))
        return 1 if self.failed else 0


class Skip(Exception):
    pass
