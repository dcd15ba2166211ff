/*
 * Power cuts out of a recorder's log (row D02): chooses moments, writes for each what a disk may hold then (disk.h), and lets a
 * child of its own open the image and look for every promise made before (promise.h). Prints one line per bad image and at the end
 * "images N kept N lost N corrupt N". At the end of the log, with everything kept, the image must be what is really there: else the
 * recorder missed something and the exit code is 2.
 *
 * usage: replay store|lmdb|compare LOG ROOT WORKDIR IMAGES SEED [KEEP]
 *   ROOT: the directory that was recorded; WORKDIR: empty, for images; KEEP: so many images stay there for a daemon (WORKDIR/keep-N,
 *   their promises in WORKDIR/keep-N.marks); exit code 1 when an image is not as promised
 * usage: replay look DIR MARKS
 *   looks at DIR/data itself, as it is, with the marks of a text file, one a line; exit code 0 when it holds them all
 */
#include "base/mem.h"
#include "tests/power/disk.h"
#include "tests/power/promise.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, CHILD_SECONDS = 60, TOLD_MOST = 20, EARLY = 100 };

struct record {
	struct log_head h;
	struct str path, data;
};

struct replay {
	const char *root, *work;
	enum verdict (*look)(const char *dir, const struct str *marks, size_t n);
	struct record *records;
	struct str *marks;
	size_t n_records, n_marks; /* marks: seen so far */
	uint64_t random;
	unsigned keep, n_kept;
	unsigned verdicts[CORRUPT + 1];
};

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* ---- files ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st, (void)type, (void)f;
	return remove(path);
}

static void remove_all(const char *dir)
{
	nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

static struct str map_file(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		fail(path);
	void *p = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
	if (p == MAP_FAILED)
		fail(path);
	close(fd);
	return str_of(p, (size_t)st.st_size);
}

/* A record that was being written when the program was killed is none. */
static void read_log(struct replay *r, struct str log)
{
	size_t at = 0, room = 0;
	struct record one;

	while (at + sizeof(one.h) <= log.n) {
		memcpy(&one.h, log.p + at, sizeof(one.h));
		at += sizeof(one.h);
		if (at + one.h.path_bytes + one.h.data_bytes > log.n)
			break;
		one.path = str_of(log.p + at, one.h.path_bytes);
		one.data = str_of(log.p + at + one.h.path_bytes, one.h.data_bytes);
		at += one.h.path_bytes + one.h.data_bytes;
		if (r->n_records == room) {
			room = room ? 2 * room : 1024;
			r->records = mem_realloc(r->records, room * sizeof(one));
		}
		r->records[r->n_records++] = one;
	}
	r->marks = mem_alloc(r->n_records * sizeof(*r->marks));
}

/* ---- choosing moments ---- */

static uint64_t draw(struct replay *r, uint64_t below)
{
	r->random = r->random * 6364136223846793005u + 1442695040888963407u;
	return (r->random >> 33) % below;
}

/* How many images to make behind each record: half while something becomes durable or has just been promised, a tenth while the
 * files are being made, the rest anywhere. */
static unsigned char *choose(struct replay *r, size_t images)
{
	unsigned char *cuts = mem_zero(r->n_records);
	size_t *sharp = mem_alloc(r->n_records * sizeof(*sharp)), n = 0;

	for (size_t i = 0; i < r->n_records; i++) {
		char kind = (char)r->records[i].h.kind;
		bool dsync = kind == LOG_WRITE && i + 1 < r->n_records && r->records[i + 1].h.kind == LOG_WRITTEN;
		if (dsync || kind == LOG_SYNC || kind == LOG_SYNCED || kind == LOG_WRITTEN || kind == LOG_MARK ||
		    kind == LOG_RENAME)
			sharp[n++] = i;
	}
	for (size_t i = 0; i < images; i++) {
		size_t at = i % 2 && n ? sharp[draw(r, n)]
				       : draw(r, i % 10 == 4 && r->n_records > EARLY ? EARLY : r->n_records);
		if (cuts[at] < 255)
			cuts[at]++;
	}
	mem_free(sharp);
	return cuts;
}

/* ---- looking at an image ---- */

static enum verdict look_here(struct replay *r, const char *dir)
{
	enum verdict v = r->look(dir, r->marks, r->n_marks);

	fflush(stdout);
	return v;
}

/* In a child: a broken file may kill the one that reads it. What it prints goes to `out`. */
static enum verdict look(struct replay *r, const char *dir, char *out, size_t out_size)
{
	char more[4096];
	int pipes[2], status;
	size_t n = 0;
	ssize_t got;

	if (pipe2(pipes, O_CLOEXEC))
		fail("pipe");
	fflush(stdout); /* else the child would print it again */
	pid_t child = fork();
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		dup2(pipes[1], STDOUT_FILENO);
		alarm(CHILD_SECONDS);
		_exit((int)look_here(r, dir));
	}
	if (child < 0)
		fail("fork");
	close(pipes[1]);
	while (n + 1 < out_size && (got = read(pipes[0], out + n, out_size - 1 - n)) > 0)
		n += (size_t)got;
	while (read(pipes[0], more, sizeof(more)) > 0) /* so that it never waits for us */
		;
	out[n] = 0;
	out[strcspn(out, "\n")] = 0;
	close(pipes[0]);
	if (waitpid(child, &status, 0) != child)
		fail("waitpid");
	if (WIFSIGNALED(status))
		snprintf(out, out_size, "reading it ends with signal %d", WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) <= CORRUPT ? (enum verdict)WEXITSTATUS(status) : CORRUPT;
}

static void keep_image(struct replay *r, const char *dir)
{
	char to[PATH_BYTES], name[PATH_BYTES + 8];
	unsigned number = r->n_kept++;

	snprintf(to, sizeof(to), "%s/keep-%u", r->work, number);
	if (rename(dir, to))
		fail(to);
	snprintf(name, sizeof(name), "%s.marks", to);
	FILE *f = fopen(name, "w");
	if (!f)
		fail(name);
	for (size_t i = 0; i < r->n_marks; i++)
		fprintf(f, "%.*s\n", STR_ARG(r->marks[i]));
	fclose(f);
}

static void one_image(struct replay *r, struct disk *d, size_t at, enum cut_mode mode)
{
	static const char *const modes[CUT_MODES] = { "drop", "keep", "mix", "tear" };
	static const char *const verdicts[] = { "kept", "lost", "corrupt" };
	char dir[PATH_BYTES], why[400];
	uint64_t seed = draw(r, UINT32_MAX);
	size_t done = r->verdicts[KEPT] + r->verdicts[LOST] + r->verdicts[CORRUPT];

	snprintf(dir, sizeof(dir), "%s/image", r->work);
	remove_all(dir);
	if (mkdir(dir, 0700))
		fail(dir);
	disk_image(d, dir, mode, seed);
	enum verdict v = look(r, dir, why, sizeof(why));
	r->verdicts[v]++;
	if (v != KEPT && r->verdicts[LOST] + r->verdicts[CORRUPT] <= TOLD_MOST)
		printf("%s: after record %zu of %zu, %s, seed %lu: %s\n", verdicts[v], at, r->n_records, modes[mode],
		       (unsigned long)seed, why);
	/* for a daemon: once more, since looking may have changed it */
	if (r->n_kept < r->keep && done % 23 == 3) {
		remove_all(dir);
		if (mkdir(dir, 0700))
			fail(dir);
		disk_image(d, dir, mode, seed);
		keep_image(r, dir);
	}
}

static void cut_all(struct replay *r, struct disk *d, size_t images)
{
	unsigned char *cuts = choose(r, images);
	unsigned mode = 0;

	for (size_t i = 0; i < r->n_records; i++) {
		const struct record *e = &r->records[i];
		if (e->h.kind == LOG_MARK)
			r->marks[r->n_marks++] = e->data;
		else if (!disk_take(d, &e->h, e->path, e->data)) {
			fprintf(stderr, "replay: record %zu: %c %.*s: %.*s\n", i, (char)e->h.kind, STR_ARG(e->path),
				STR_ARG(e->data));
			exit(2);
		}
		for (; cuts[i]; cuts[i]--)
			one_image(r, d, i, (enum cut_mode)(mode++ % CUT_MODES));
	}
	mem_free(cuts);
}

/* ---- is the recorder blind? ---- */

static const char *compare_root, *compare_image;
static unsigned differences;

static int compare_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
	char other[PATH_BYTES];
	struct stat there;
	const char *name = strrchr(path, '/');

	(void)f;
	if (type != FTW_F || !S_ISREG(st->st_mode))
		return 0;
	snprintf(other, sizeof(other), "%s%s", compare_image, path + strlen(compare_root));
	if (stat(other, &there)) {
		printf("different: %s is not in the log\n", path);
		differences++;
		return 0;
	}
	if (strcmp(name, "/lock.mdb") == 0) /* changed by mmap; void after a power cut */
		return 0;
	struct str a = map_file(path), b = map_file(other);
	if (!str_eq(a, b)) {
		printf("different: %s has %zu bytes, out of the log %zu\n", path, a.n, b.n);
		differences++;
	}
	if (a.n)
		munmap((void *)a.p, a.n);
	if (b.n)
		munmap((void *)b.p, b.n);
	return 0;
}

static void compare(struct replay *r, struct disk *d)
{
	char dir[PATH_BYTES];

	snprintf(dir, sizeof(dir), "%s/image", r->work);
	remove_all(dir);
	if (mkdir(dir, 0700))
		fail(dir);
	disk_image(d, dir, CUT_KEEP, 1);
	compare_root = r->root;
	compare_image = dir;
	if (nftw(r->root, compare_one, 32, FTW_PHYS))
		fail(r->root);
	compare_root = dir; /* and what should be gone */
	compare_image = r->root;
	if (nftw(dir, compare_one, 32, FTW_PHYS))
		fail(dir);
	remove_all(dir);
}

static int look_once(const char *dir, const char *file)
{
	struct str text = map_file(file), line, *marks = mem_alloc((text.n + 1) * sizeof(*marks));
	size_t n = 0;

	while (str_split(&text, '\n', &line))
		if (line.n)
			marks[n++] = line;
	enum verdict v = promise_store(dir, marks, n);
	mem_free(marks);
	return (int)v;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "look") == 0)
		return look_once(argv[2], argv[3]);
	if (argc < 7)
		return 2;
	struct replay r = { .root = argv[3],
			    .work = argv[4],
			    .random = strtoull(argv[6], NULL, 10),
			    .keep = argc > 7 ? (unsigned)atoi(argv[7]) : 0 };
	bool plain = strcmp(argv[1], "lmdb") == 0;
	size_t images = strcmp(argv[1], "compare") == 0 ? 0 : strtoul(argv[5], NULL, 10);

	r.look = plain ? promise_lmdb : promise_store;
	read_log(&r, map_file(argv[2]));
	if (!r.n_records) {
		fprintf(stderr, "replay: the log is empty\n");
		return 2;
	}
	struct disk *d = disk_new(str_c(r.root));
	cut_all(&r, d, images);
	compare(&r, d);
	printf("records %zu marks %zu different %u\n", r.n_records, r.n_marks, differences);
	printf("images %u kept %u lost %u corrupt %u\n", r.verdicts[KEPT] + r.verdicts[LOST] + r.verdicts[CORRUPT],
	       r.verdicts[KEPT], r.verdicts[LOST], r.verdicts[CORRUPT]);
	disk_free(d);
	mem_free(r.records);
	mem_free(r.marks);
	return differences ? 2 : r.verdicts[LOST] + r.verdicts[CORRUPT] ? 1 : 0;
}
