/* A model of what a disk holds: takes the records of a power-cut log and writes the files as a power cut could leave them.
 * One disk, one thread; borrows paths and data from the log, which must stay in memory. */
#pragma once
#include "base/str.h"
#include "tests/power/log.h"

enum cut_mode {
	CUT_DROP, /* nothing that was not synced is there */
	CUT_KEEP, /* all of it is there */
	CUT_MIX,  /* each write is there or not */
	CUT_TEAR, /* each write is there, or not, or some of its sectors of 512 bytes are */
	CUT_MODES
};

struct disk;

/* root: the directory that was recorded (borrowed). */
struct disk *disk_new(struct str root);
void disk_free(struct disk *d);
/* One record; false for one that the model cannot take (LOG_LOST). */
bool disk_take(struct disk *d, const struct log_head *h, struct str path, struct str data);
/* Writes what is left after a power cut now into the empty directory `to`; seed makes the choices of CUT_MIX and CUT_TEAR. */
void disk_image(struct disk *d, const char *to, enum cut_mode mode, uint64_t seed);
