/*
 * The model: each file has durable bytes and a list of changes since, each directory a list of names changed since. A sync of a
 * file makes its changes durable, a sync of a directory its names; a power cut takes of the rest what it likes. Names of one
 * directory change in their order (as journals of file systems do it), bytes in any order.
 */
#include "tests/power/disk.h"
#include "base/list.h"
#include "base/mem.h"
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, NAMES_MAX = 64, PATH_BYTES = 4096 };

/* A change of a file's bytes. */
struct change {
	struct list link;
	uint64_t number, id, at;
	struct str data; /* p NULL: the file has `at` bytes now */
	bool durable;
};

struct file {
	char *bytes; /* durable */
	size_t size, room;
	struct list changes;
};

struct name {
	struct str path;
	struct file *file; /* NULL: a directory */
};

struct names {
	struct name v[NAMES_MAX];
	size_t n;
};

/* A change of names. */
struct move {
	struct list link;
	uint64_t number;
	char kind;
	struct str path, to;
	struct file *file;
	bool durable;
};

/* A sync under way: it will make durable what was there at its begin. */
struct sync {
	struct list link;
	uint64_t number, id;
	struct file *file; /* NULL: a directory */
	struct str dir;
};

struct disk {
	struct str root;
	struct names now, durable;
	struct list moves, syncs;
	struct file *files[NAMES_MAX];
	size_t n_files;
	uint64_t number; /* of the present record */
};

struct disk *disk_new(struct str root)
{
	struct disk *d = NEW(struct disk);

	d->root = root;
	list_init(&d->moves);
	list_init(&d->syncs);
	return d;
}

static void free_all(struct list *l)
{
	while (!list_empty(l)) {
		struct list *first = l->next;
		list_del(first);
		mem_free(first); /* the link is the first member of each */
	}
}

void disk_free(struct disk *d)
{
	for (size_t i = 0; i < d->n_files; i++) {
		free_all(&d->files[i]->changes);
		mem_free(d->files[i]->bytes);
		mem_free(d->files[i]);
	}
	free_all(&d->moves);
	free_all(&d->syncs);
	mem_free(d);
}

/* ---- names ---- */

static struct name *find(struct names *n, struct str path)
{
	for (size_t i = 0; i < n->n; i++)
		if (str_eq(n->v[i].path, path))
			return &n->v[i];
	return NULL;
}

static void forget(struct names *n, struct str path)
{
	struct name *e = find(n, path);

	if (e)
		*e = n->v[--n->n];
}

static void set(struct names *n, struct str path, struct file *file)
{
	forget(n, path);
	assert(n->n < NAMES_MAX);
	n->v[n->n++] = (struct name){ path, file };
}

static void move_apply(struct names *n, const struct move *m)
{
	if (m->kind == LOG_CREATE || m->kind == LOG_MKDIR)
		set(n, m->path, m->file);
	if (m->kind == LOG_RENAME || m->kind == LOG_UNLINK)
		forget(n, m->path);
	if (m->kind == LOG_RENAME)
		set(n, m->to, m->file);
}

static void move_add(struct disk *d, char kind, struct str path, struct str to, struct file *file)
{
	struct move *m = NEW(struct move);

	*m = (struct move){ .number = d->number, .kind = kind, .path = path, .to = to, .file = file };
	list_add(&d->moves, &m->link);
	move_apply(&d->now, m);
}

static struct file *create(struct disk *d, struct str path)
{
	struct file *f = NEW(struct file);

	list_init(&f->changes);
	assert(d->n_files < NAMES_MAX);
	d->files[d->n_files++] = f;
	move_add(d, LOG_CREATE, path, STR_NONE, f);
	return f;
}

/* The file of a path; one that was made behind our back (by stdio) begins to exist here. */
static struct file *file_at(struct disk *d, struct str path)
{
	struct name *e = find(&d->now, path);

	return e && e->file ? e->file : create(d, path);
}

static struct str parent(struct str path)
{
	while (path.n && path.p[path.n - 1] != '/')
		path.n--;
	if (path.n)
		path.n--;
	return path;
}

/* ---- bytes ---- */

static void file_resize(struct file *f, size_t size)
{
	if (size > f->room) {
		f->room = size + size / 2;
		f->bytes = mem_realloc(f->bytes, f->room);
	}
	if (size > f->size)
		memset(f->bytes + f->size, 0, size - f->size);
	f->size = size;
}

/* The front of the list that is durable becomes part of the bytes. */
static void file_fold(struct file *f)
{
	list_each_safe (c, &f->changes, struct change, link) {
		if (!c->durable)
			return;
		if (!c->data.p)
			file_resize(f, c->at);
		else if (c->at + c->data.n > f->size)
			file_resize(f, c->at + c->data.n);
		if (c->data.p)
			memcpy(f->bytes + c->at, c->data.p, c->data.n);
		list_del(&c->link);
		mem_free(c);
	}
}

static void change_add(struct disk *d, const struct log_head *h, struct str path, struct str data)
{
	struct change *c = NEW(struct change);

	*c = (struct change){ .number = d->number, .id = h->id, .at = h->at, .data = data };
	list_add(&file_at(d, path)->changes, &c->link);
}

static void written(struct file *f, uint64_t id)
{
	list_each (c, &f->changes, struct change, link)
		if (c->id == id)
			c->durable = true;
	file_fold(f);
}

/* ---- syncs ---- */

static bool is_dir(struct disk *d, struct str path)
{
	struct name *e = find(&d->now, path);

	if (e)
		return !e->file;
	for (size_t i = 0; i < d->now.n; i++)
		if (str_eq(parent(d->now.v[i].path), path))
			return true;
	return str_eq(path, d->root);
}

static void sync_begin(struct disk *d, uint64_t id, struct str path)
{
	struct sync *s = NEW(struct sync);

	*s = (struct sync){
		.number = d->number, .id = id, .file = is_dir(d, path) ? NULL : file_at(d, path), .dir = path
	};
	list_add(&d->syncs, &s->link);
}

static void moves_synced(struct disk *d, const struct sync *s)
{
	list_each (m, &d->moves, struct move, link)
		if (m->number < s->number && str_eq(parent(m->path), s->dir))
			m->durable = true;
	list_each_safe (m, &d->moves, struct move, link) {
		if (!m->durable)
			return;
		move_apply(&d->durable, m);
		list_del(&m->link);
		mem_free(m);
	}
}

static void changes_synced(const struct sync *s)
{
	list_each (c, &s->file->changes, struct change, link)
		if (c->number < s->number)
			c->durable = true;
	file_fold(s->file);
}

static void sync_end(struct disk *d, uint64_t id)
{
	list_each_safe (s, &d->syncs, struct sync, link) {
		if (s->id != id)
			continue;
		if (s->file)
			changes_synced(s);
		else
			moves_synced(d, s);
		list_del(&s->link);
		mem_free(s);
	}
}

bool disk_take(struct disk *d, const struct log_head *h, struct str path, struct str data)
{
	struct name *e;

	d->number++;
	switch ((enum log_kind)h->kind) {
	case LOG_WRITE: change_add(d, h, path, data); break;
	case LOG_WRITTEN: written(file_at(d, path), h->id); break;
	case LOG_TRUNCATE: change_add(d, h, path, STR_NONE); break;
	case LOG_SYNC: sync_begin(d, h->id, path); break;
	case LOG_SYNCED: sync_end(d, h->id); break;
	case LOG_CREATE: create(d, path); break;
	case LOG_MKDIR: move_add(d, LOG_MKDIR, path, STR_NONE, NULL); break;
	case LOG_UNLINK: move_add(d, LOG_UNLINK, path, STR_NONE, NULL); break;
	case LOG_RENAME:
		e = find(&d->now, path);
		move_add(d, LOG_RENAME, path, data, e ? e->file : file_at(d, path));
		break;
	case LOG_MARK: break;
	case LOG_LOST:
	default: return false;
	}
	return true;
}

/* ---- images ---- */

struct choice {
	enum cut_mode mode;
	uint64_t state; /* xorshift64*, so that an image can be made again from its seed */
};

static unsigned draw(struct choice *c, unsigned below)
{
	c->state ^= c->state >> 12;
	c->state ^= c->state << 25;
	c->state ^= c->state >> 27;
	return (unsigned)(c->state * 0x2545F4914F6CDD1Dull >> 33) % below;
}

static bool kept(struct choice *c)
{
	return c->mode == CUT_KEEP || (c->mode != CUT_DROP && draw(c, 2));
}

static void write_at(int fd, const char *p, size_t n, uint64_t at)
{
	while (n) {
		ssize_t w = pwrite(fd, p, n, (off_t)at);
		assert(w > 0);
		p += w;
		n -= (size_t)w;
		at += (uint64_t)w;
	}
}

static void write_sectors(int fd, const struct change *c, struct choice *choice)
{
	for (size_t at = 0; at < c->data.n;) {
		size_t n = SECTOR - (c->at + at) % SECTOR;
		n = n < c->data.n - at ? n : c->data.n - at;
		if (draw(choice, 2))
			write_at(fd, c->data.p + at, n, c->at + at);
		at += n;
	}
}

static void write_file(const char *path, const struct file *f, struct choice *choice)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert(fd >= 0);
	write_at(fd, f->bytes, f->size, 0);
	list_each (c, &f->changes, struct change, link) {
		bool keep = c->durable || kept(choice),
		     tear = choice->mode == CUT_TEAR && !c->durable && c->data.p && draw(choice, 2);
		if (tear) {
			write_sectors(fd, c, choice);
		} else if (keep && c->data.p) {
			write_at(fd, c->data.p, c->data.n, c->at);
		} else if (keep) {
			int rc = ftruncate(fd, (off_t)c->at);
			assert(rc == 0);
		}
	}
	close(fd);
}

/* Which names are there: those of each directory up to a point of its list. */
static void names_left(struct disk *d, struct choice *choice, struct names *out)
{
	struct str stopped[NAMES_MAX];
	size_t n = 0;

	*out = d->durable;
	list_each (m, &d->moves, struct move, link) {
		bool over = false;
		for (size_t i = 0; i < n; i++)
			over = over || str_eq(stopped[i], parent(m->path));
		if (m->durable || (!over && kept(choice)))
			move_apply(out, m);
		else if (!over && n < NAMES_MAX)
			stopped[n++] = parent(m->path);
	}
}

/* A directory is there when it was before the recording, or when its name is left. */
static bool dir_left(struct disk *d, struct names *left, struct str dir)
{
	if (find(left, dir))
		return true;
	list_each (m, &d->moves, struct move, link)
		if (m->kind == LOG_MKDIR && str_eq(m->path, dir))
			return false;
	return true;
}

static const char *place(struct disk *d, const char *to, struct str path)
{
	static char out[PATH_BYTES];
	int n = snprintf(out, sizeof(out), "%s%.*s", to, (int)(path.n - d->root.n), path.p + d->root.n);

	assert(n > 0 && n < PATH_BYTES);
	return out;
}

/* All directories above a path. */
static void make_dirs(struct disk *d, const char *to, struct str path)
{
	for (size_t i = d->root.n + 1; i < path.n; i++)
		if (path.p[i] == '/')
			mkdir(place(d, to, str_of(path.p, i)), 0700);
}

void disk_image(struct disk *d, const char *to, enum cut_mode mode, uint64_t seed)
{
	struct choice choice = { mode, seed * 2 + 1 };
	struct names left;

	names_left(d, &choice, &left);
	for (size_t i = 0; i < left.n; i++) {
		const struct name *e = &left.v[i];
		if (!dir_left(d, &left, parent(e->path)))
			continue;
		make_dirs(d, to, e->path);
		if (e->file)
			write_file(place(d, to, e->path), e->file, &choice);
		else
			mkdir(place(d, to, e->path), 0700);
	}
}
