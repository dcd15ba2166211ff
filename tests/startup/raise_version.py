#!/usr/bin/python3
"""usage: raise_version.py DATA.MDB   Makes a store look like one of a much newer release: META "schema" becomes 250, with a right CRC.
Exit code 77 when liblmdb is not there."""
import ctypes
import ctypes.util
import struct
import sys

CREATE_NOTHING, NOSUBDIR, RECORD_HEAD = 0, 0x4000, 8


class Val(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def record(version, number):
    content = bytes([number & 0x7F | 0x80, number >> 7])
    head = bytes([version, 0, 0, 0])
    return head + struct.pack("<I", crc32c(head + content)) + content


def main():
    try:
        lmdb = ctypes.CDLL("liblmdb.so.0")
    except OSError:
        print("liblmdb.so.0 is not installed")
        return 77
    lmdb.mdb_strerror.restype = ctypes.c_char_p

    def call(name, *args):
        rc = getattr(lmdb, name)(*args)
        if rc:
            raise SystemExit("%s: %s" % (name, lmdb.mdb_strerror(rc).decode()))
    env, txn, dbi = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()
    call("mdb_env_create", ctypes.byref(env))
    call("mdb_env_set_maxdbs", env, 64)
    call("mdb_env_open", env, sys.argv[1].encode(), NOSUBDIR, 0o600)
    call("mdb_txn_begin", env, None, 0, ctypes.byref(txn))
    call("mdb_dbi_open", txn, b"meta", CREATE_NOTHING, ctypes.byref(dbi))
    value = record(1, 250)
    key = Val(6, ctypes.cast(ctypes.c_char_p(b"schema"), ctypes.c_void_p))
    old = Val()
    call("mdb_get", txn, dbi, ctypes.byref(key), ctypes.byref(old))
    data = Val(len(value), ctypes.cast(ctypes.c_char_p(value), ctypes.c_void_p))
    call("mdb_put", txn, dbi, ctypes.byref(key), ctypes.byref(data), 0)
    call("mdb_txn_commit", txn)
    lmdb.mdb_env_close(env)
    return 0


sys.exit(main())
