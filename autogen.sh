#!/bin/sh
# Makes ./configure out of configure.ac; needs autoconf 2.71, automake 1.16 and pkg-config.
cd "$(dirname "$0")" || exit 1
exec autoreconf --force --install --warnings=all,no-portability
