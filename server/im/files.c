/*
 * Uploads: slots, receiving, placing. A file is placed by a helper under `place_lock`, and a file that nobody shares any more is removed by a helper
 * under the same lock, which looks at the store and at the placings that wait for their commit: so bytes never go while somebody gets them.
 */
#include "server/im/files.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/picture.h"
#include "base/random.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/net/threads.h"
#include "storage/tab_audit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <magic.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define HEAD_BYTES 65536 /* of a picture, looked at for its size */
#define NAME_MAX_BYTES 255
#define TYPE_MAX_BYTES 127
#define PATH_BYTES 4096
#define DAY_MS 86400000u

struct file_upload {
	struct job job;
	struct write_op op;
	struct list placing; /* renamed, its record is not committed yet */
	struct arena *a;
	struct file_rec rec; /* strings in a */
	uint64_t got;
	int fd, err;
	EVP_MD_CTX *hash;
	char *head; /* the first bytes */
	size_t head_n;
	file_stored_fn *done;
	void *ctx;
};

static pthread_mutex_t place_lock = PTHREAD_MUTEX_INITIALIZER, magic_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list placing = { &placing, &placing };

/* ---- where they lie ---- */

static void temporary_path(struct str token, char out[PATH_BYTES])
{
	snprintf(out, PATH_BYTES, "%s/files/tmp/%.*s", im.data_dir, STR_ARG(token));
}

static void folder_path(const uint8_t hash[32], char out[PATH_BYTES])
{
	snprintf(out, PATH_BYTES, "%s/files/%02x", im.data_dir, hash[0]);
}

static void final_path(const uint8_t hash[32], char out[PATH_BYTES])
{
	char hex[65];

	hex_encode(hash, 32, hex);
	snprintf(out, PATH_BYTES, "%s/files/%02x/%.64s", im.data_dir, hash[0], hex);
}

static int sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_from_errno(errno);
	int err = fsync(fd) ? err_from_errno(errno) : 0;
	close(fd);
	return err;
}

/* ---- promising ---- */

struct slot_op {
	struct write_op op;
	struct arena *a;
	struct file_rec rec;
	file_slot_fn *done;
	void *ctx;
};

static uint32_t day_of(uint64_t ms)
{
	return (uint32_t)(ms / DAY_MS);
}

static int apply_slot(struct txn *t, struct write_op *op)
{
	struct slot_op *o = (struct slot_op *)op;
	uint32_t day = day_of(o->rec.created_ms);

	if (o->rec.owner && file_day_bytes(t, o->rec.owner, day) + o->rec.size > limits()->upload_day_bytes)
		return ERR_LIMIT;
	if (o->rec.owner)
		file_add_day_bytes(t, o->rec.owner, day, o->rec.size);
	file_create(t, &o->rec);
	return txn_error(t);
}

static void slot_done(struct write_op *op, int err, unsigned worker)
{
	struct slot_op *o = (struct slot_op *)op;

	(void)worker;
	o->done(o->ctx, err, err ? STR_NONE : o->rec.token, o->rec.number);
}

static void slot_free(struct write_op *op)
{
	arena_free(((struct slot_op *)op)->a);
	mem_free(op);
}

/* A name that is one: no path, no control characters, not empty. */
static bool name_fits(struct str s)
{
	if (!s.n || s.n > NAME_MAX_BYTES || !str_xml_valid(s) || str_eq_c(s, ".") || str_eq_c(s, ".."))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == '/' || s.p[i] == '\\' || s.p[i] == 0x7f)
			return false;
	return true;
}

static bool disk_is_full(uint64_t more)
{
	struct statvfs v;

	if (statvfs(im.data_dir, &v))
		return false;
	uint64_t all = (uint64_t)v.f_blocks * v.f_frsize, left = (uint64_t)v.f_bavail * v.f_frsize;
	return left < more || (left - more) < all / 100 * (100 - limits()->upload_disk_percent);
}

static int may_promise(struct str name, struct str type, uint64_t size)
{
	if (!name_fits(name) || type.n > TYPE_MAX_BYTES || !str_xml_valid(type))
		return ERR_SYNTAX;
	if (!size || size > limits()->upload_bytes)
		return ERR_LIMIT;
	return disk_is_full(size) ? ERR_NO_SPACE : 0;
}

void file_slot(uint32_t owner, struct str name, struct str type, uint64_t size, file_slot_fn *done, void *ctx)
{
	int err = may_promise(name, type, size);
	char token[RANDOM_TOKEN];

	if (err) {
		done(ctx, err, STR_NONE, 0);
		return;
	}
	struct slot_op *o = NEW(struct slot_op);
	random_token(token); /* 128 bits: who has the address may read (row A12) */
	o->op = (struct write_op){ .apply = apply_slot, .done = slot_done, .free = slot_free };
	o->a = arena_new(512);
	o->rec = (struct file_rec){ .state = FILE_SLOT,
				    .owner = owner,
				    .size = size,
				    .created_ms = clock_wall_ms(),
				    .token = arena_str(o->a, str_c(token)),
				    .name = arena_str(o->a, name),
				    .type = arena_str(o->a, type) };
	o->done = done;
	o->ctx = ctx;
	im_write(&o->op);
}

/* ---- receiving ---- */

static int read_slot(struct arena *a, struct str token, struct file_rec *out)
{
	struct txn *t = im_read();
	int err = file_by_token(t, token, out);

	if (!err) {
		out->token = arena_str(a, out->token);
		out->name = arena_str(a, out->name);
		out->type = arena_str(a, out->type);
	}
	int end = txn_commit(t);
	return err ? err : end;
}

bool file_token_valid(struct str token)
{
	for (size_t i = 0; i < token.n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", token.p[i]) ||
		    !token.p[i])
			return false;
	return token.n == RANDOM_TOKEN - 1;
}

int file_begin(struct str token, struct file_upload **out)
{
	struct arena *a = arena_new(512);
	struct file_rec r;
	char path[PATH_BYTES];
	int err = file_token_valid(token) ? read_slot(a, token, &r) : ERR_NOT_FOUND, fd = -1;

	if (!err && r.state != FILE_SLOT)
		err = ERR_EXISTS;
	else if (!err && r.created_ms + limits()->upload_slot_ms < clock_wall_ms())
		err = ERR_TIMEOUT;
	if (!err) {
		temporary_path(token, path);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			  0600); /* EEXIST: another upload of this slot is under way */
		if (fd < 0)
			err = errno == EEXIST ? ERR_EXISTS : err_from_errno(errno);
	}
	if (err) {
		arena_free(a);
		return err;
	}
	struct file_upload *u = NEW(struct file_upload);
	u->a = a;
	u->rec = r;
	u->fd = fd;
	u->hash = EVP_MD_CTX_new();
	u->head = mem_alloc(HEAD_BYTES);
	list_init(&u->placing);
	EVP_DigestInit_ex(u->hash, EVP_sha256(), NULL);
	*out = u;
	return 0;
}

const struct file_rec *file_promised(const struct file_upload *u)
{
	return &u->rec;
}

int file_write(struct file_upload *u, struct str piece)
{
	size_t done = 0;

	if (u->got + piece.n > u->rec.size)
		return ERR_LIMIT;
	while (done < piece.n) {
		ssize_t n = write(u->fd, piece.p + done, piece.n - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_from_errno(n < 0 ? errno : ENOSPC);
		done += (size_t)n;
	}
	EVP_DigestUpdate(u->hash, piece.p, piece.n);
	if (u->head_n < HEAD_BYTES) {
		size_t n = HEAD_BYTES - u->head_n < piece.n ? HEAD_BYTES - u->head_n : piece.n;
		memcpy(u->head + u->head_n, piece.p, n);
		u->head_n += n;
	}
	u->got += piece.n;
	return 0;
}

static void upload_free(struct file_upload *u)
{
	if (u->fd >= 0)
		close(u->fd);
	EVP_MD_CTX_free(u->hash);
	mem_free(u->head);
	arena_free(u->a);
	mem_free(u);
}

void file_drop(struct file_upload *u)
{
	char path[PATH_BYTES];

	temporary_path(u->rec.token, path);
	unlink(path);
	upload_free(u);
}

/* ---- placing: helper ---- */

/* The type by content; what was promised is not believed (row W06). */
static struct str sniff(struct file_upload *u)
{
	static magic_t cookie;
	const char *type = NULL;

	pthread_mutex_lock(&magic_lock);
	if (!cookie && (cookie = magic_open(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS)) && magic_load(cookie, NULL)) {
		magic_close(cookie);
		cookie = NULL;
	}
	if (cookie)
		type = magic_buffer(cookie, u->head, u->head_n);
	struct str s = arena_str(u->a, str_c(type ? type : "application/octet-stream"));
	pthread_mutex_unlock(&magic_lock);
	return s;
}

static int place(struct file_upload *u)
{
	char from[PATH_BYTES], folder[PATH_BYTES], to[PATH_BYTES];
	int err = 0;

	temporary_path(u->rec.token, from);
	folder_path(u->rec.hash, folder);
	final_path(u->rec.hash, to);
	if (fsync(u->fd))
		return err_from_errno(errno);
	bool fresh = mkdir(folder, 0700) == 0;
	pthread_mutex_lock(&place_lock);
	if (rename(from, to)) /* the same bytes lie there already, or nothing */
		err = err_from_errno(errno);
	else
		list_add(&placing, &u->placing);
	pthread_mutex_unlock(&place_lock);
	if (!err)
		err = sync_folder(folder);
	if (!err && fresh) {
		snprintf(folder, sizeof folder, "%s/files", im.data_dir);
		err = sync_folder(folder);
	}
	return err;
}

static void end_run(struct job *j)
{
	struct file_upload *u = list_entry(j, struct file_upload, job);

	if (u->got != u->rec.size) {
		u->err = ERR_CONFLICT;
		return;
	}
	EVP_DigestFinal_ex(u->hash, u->rec.hash, NULL);
	u->rec.type = sniff(u);
	picture_size(str_of(u->head, u->head_n), &u->rec.width, &u->rec.height);
	u->err = place(u);
}

static int apply_store(struct txn *t, struct write_op *op)
{
	struct file_upload *u = list_entry(op, struct file_upload, op);
	struct file_rec now;
	int err = file_get(t, u->rec.number, &now);

	if (err)
		return err; /* deleted meanwhile */
	if (now.state != FILE_SLOT)
		return ERR_EXISTS;
	u->rec.state = FILE_STORED;
	file_store(t, &u->rec);
	return txn_error(t);
}

static void remove_if_unshared(const uint8_t hash[32]);

static void placed(struct file_upload *u)
{
	pthread_mutex_lock(&place_lock);
	if (!list_empty(&u->placing))
		list_del(&u->placing);
	list_init(&u->placing);
	pthread_mutex_unlock(&place_lock);
}

static void store_done(struct write_op *op, int err, unsigned worker)
{
	struct file_upload *u = list_entry(op, struct file_upload, op);

	(void)worker;
	placed(u);
	if (err)
		remove_if_unshared(u->rec.hash);
	u->done(u->ctx, err, &u->rec);
}

static void store_free(struct write_op *op)
{
	upload_free(list_entry(op, struct file_upload, op));
}

static void end_done(struct job *j)
{
	struct file_upload *u = list_entry(j, struct file_upload, job);

	if (u->err) {
		placed(u);
		u->done(u->ctx, u->err, &u->rec);
		file_drop(u);
		return;
	}
	u->op = (struct write_op){ .apply = apply_store, .done = store_done, .free = store_free };
	im_write(&u->op);
}

void file_rename(struct file_upload *u, struct str name)
{
	if (name_fits(name))
		u->rec.name = arena_str(u->a, name);
}

void file_end(struct file_upload *u, bool may_be_shorter, file_stored_fn *done, void *ctx)
{
	if (may_be_shorter && u->got)
		u->rec.size = u->got;
	u->done = done;
	u->ctx = ctx;
	u->job.run = end_run;
	u->job.done = end_done;
	u->job.worker = (unsigned)threads_self();
	if (helpers_submit(&u->job)) {
		done(ctx, ERR_AGAIN, &u->rec);
		file_drop(u);
	}
}

/* ---- reading ---- */

int file_open(struct arena *a, struct str token, struct file_rec *out, int *out_fd)
{
	char path[PATH_BYTES];
	int err = file_token_valid(token) ? read_slot(a, token, out) : ERR_NOT_FOUND;

	if (err || out->state != FILE_STORED)
		return err ? err : ERR_NOT_FOUND;
	final_path(out->hash, path);
	*out_fd = open(path, O_RDONLY | O_CLOEXEC);
	return *out_fd < 0 ? (errno == ENOENT ? ERR_NOT_FOUND : err_from_errno(errno)) : 0;
}

void file_url(struct buf *b, struct str token, struct str name)
{
	buf_printf(b, "%s/upload/%.*s/", im.http_url, STR_ARG(token));
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
			     c == '-' || c == '_';
		buf_printf(b, plain ? "%c" : "%%%02X", c);
	}
}

bool file_may_show(struct str type)
{
	static const char *const shown[] = { "image/png",  "image/jpeg", "image/gif",	"image/webp", "image/avif",
					     "audio/mpeg", "audio/ogg",	 "audio/x-wav", "audio/mp4",  "audio/webm",
					     "video/mp4",  "video/webm", "video/ogg",	"text/plain" };

	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		if (str_eq_c(type, shown[i]))
			return true;
	return false;
}

/* ---- removing ---- */

struct remove_job {
	struct job job;
	uint8_t hash[32];
};

static bool is_placing(const uint8_t hash[32])
{
	list_each (u, &placing, struct file_upload, placing)
		if (memcmp(u->rec.hash, hash, 32) == 0) /* public: content, not a secret */
			return true;
	return false;
}

static void remove_run(struct job *j)
{
	struct remove_job *r = list_entry(j, struct remove_job, job);
	char path[PATH_BYTES];

	final_path(r->hash, path);
	pthread_mutex_lock(&place_lock);
	struct txn *t = im_read();
	bool shared = file_sharers(t, r->hash) > 0;
	bool known = txn_commit(t) == 0;
	if (known && !shared && !is_placing(r->hash))
		unlink(path);
	pthread_mutex_unlock(&place_lock);
}

static void remove_done(struct job *j)
{
	mem_free(list_entry(j, struct remove_job, job));
}

static void remove_if_unshared(const uint8_t hash[32])
{
	struct remove_job *r = NEW(struct remove_job);

	r->job.run = remove_run;
	r->job.done = remove_done;
	r->job.worker = (unsigned)threads_self();
	memcpy(r->hash, hash, 32);
	if (helpers_submit(&r->job))
		mem_free(r); /* the bytes stay until vestnikctl check finds them */
}

struct delete_op {
	struct write_op op;
	uint64_t number, gid; /* gid: all files of that message, when their owner is author */
	uint32_t account;     /* 0: may delete anybody's */
	bool any;
	char actor[256];
	uint8_t (*gone)[32]; /* hashes that nobody shares any more */
	size_t n_gone;
	file_done_fn *done;
	void *ctx;
};

static void delete_one(struct txn *t, struct delete_op *o, const struct file_rec *r)
{
	if (file_remove(t, r))
		memcpy(o->gone[o->n_gone++], r->hash, 32);
}

static int apply_delete(struct txn *t, struct write_op *op)
{
	struct delete_op *o = (struct delete_op *)op;
	struct file_rec r;
	int err = file_get(t, o->number, &r);

	o->n_gone = 0;
	if (err)
		return err;
	if (!o->any && r.owner != o->account)
		return ERR_FORBIDDEN;
	if (o->any && r.owner != o->account)
		audit_add(t, &(struct audit_rec){ .time_ms = clock_wall_ms(),
						  .actor = str_c(o->actor),
						  .action = STR("file.delete"),
						  .target = r.name });
	delete_one(t, o, &r);
	return txn_error(t);
}

static int apply_delete_message(struct txn *t, struct write_op *op)
{
	struct delete_op *o = (struct delete_op *)op;
	uint64_t numbers[FILES_PER_MESSAGE];
	size_t n = file_of_message(t, o->gid, numbers, FILES_PER_MESSAGE);

	o->n_gone = 0;
	for (size_t i = 0; i < n; i++) {
		struct file_rec r;
		file_untie(t, o->gid, numbers[i]);
		if (file_get(t, numbers[i], &r) == 0)
			delete_one(t, o, &r);
	}
	return txn_error(t);
}

static void delete_done(struct write_op *op, int err, unsigned worker)
{
	struct delete_op *o = (struct delete_op *)op;

	(void)worker;
	for (size_t i = 0; !err && i < o->n_gone; i++)
		remove_if_unshared(o->gone[i]);
	if (o->done)
		o->done(o->ctx, err);
}

static void delete_free(struct write_op *op)
{
	mem_free(((struct delete_op *)op)->gone);
	mem_free(op);
}

static struct delete_op *delete_new(int (*apply)(struct txn *t, struct write_op *op))
{
	struct delete_op *o = NEW(struct delete_op);

	o->op = (struct write_op){ .apply = apply, .done = delete_done, .free = delete_free };
	o->gone = mem_zero(FILES_PER_MESSAGE * sizeof *o->gone);
	return o;
}

void file_delete(const struct principal *by, uint64_t number, file_done_fn *done, void *ctx)
{
	struct delete_op *o = delete_new(apply_delete);

	o->number = number;
	o->account = by->account;
	o->any = principal_has(by, SCOPE_ADMIN);
	snprintf(o->actor, sizeof o->actor, "%.*s", STR_ARG(by->name));
	o->done = done;
	o->ctx = ctx;
	im_write(&o->op);
}

void file_delete_message(uint64_t gid)
{
	struct delete_op *o = delete_new(apply_delete_message);

	o->gid = gid;
	im_write(&o->op);
}

/* ---- start ---- */

static void clear_temporary(const char *path)
{
	DIR *d = opendir(path);
	char name[PATH_BYTES];

	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] != '.' && (size_t)snprintf(name, sizeof name, "%s/%s", path, e->d_name) < sizeof name)
			unlink(name);
	if (d)
		closedir(d);
}

int files_init(struct err_msg *msg)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof path, "%s/files", im.data_dir);
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_set(msg, err_from_errno(errno), "%s cannot be made: %m", path);
	snprintf(path, sizeof path, "%s/files/tmp", im.data_dir);
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_set(msg, err_from_errno(errno), "%s cannot be made: %m", path);
	clear_temporary(path);
	files_observe_messages();
	return 0;
}
