/*
 * The log of the power-cut recorder (tests/lib/record_preload.c writes it, tests/power/replay.c reads it, tests/power/power.py
 * appends marks): records one after the other, each a head, the path and the data, without padding. Byte order of the machine.
 */
#pragma once
#include <stdint.h>

enum log_kind {
	LOG_WRITE = 'W',    /* data goes to path at an offset; durable after LOG_WRITTEN (O_DSYNC) or a sync begun later */
	LOG_WRITTEN = 'w',  /* an O_DSYNC write has returned */
	LOG_TRUNCATE = 'T', /* path has `at` bytes now */
	LOG_SYNC = 'S',     /* a sync of path begins: what was logged before is meant; a directory's means its names */
	LOG_SYNCED = 's',   /* it has returned */
	LOG_CREATE = 'C',
	LOG_MKDIR = 'M',
	LOG_RENAME = 'R',   /* data is the new path */
	LOG_UNLINK = 'U',
	LOG_MARK = 'A',	    /* data is a promise that somebody outside has got (tests/power/promise.h) */
	LOG_LOST = 'L',	    /* something happened that the recorder cannot tell: the log is worth nothing */
};

struct log_head {
	uint64_t kind, id, at;
	uint32_t path_bytes, data_bytes;
};
