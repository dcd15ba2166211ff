/*
 * Static files: an immutable table of the folder, replaced as a whole; former ones are kept, as reloads are rare. Beside FILE may lie FILE.br and FILE.gz.
 * Files whose name holds a hash never change and are kept by browsers for a year, others are asked for again by ETag. Any worker.
 */
#include "bosh/static.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 10000
#define DEPTH_MAX 16

struct file {
	char *path; /* "/app.js"; the key */
	const char *type;
	bool is_hashed, is_page, has_br, has_gz;
};
struct folder {
	struct folder *former;
	struct hash *files;
	int fd;
	size_t n;
};
static _Atomic(struct folder *) present;

static const struct {
	const char *ending, *type;
} types[] = {
	{ ".html", "text/html; charset=utf-8" },
	{ ".js", "text/javascript; charset=utf-8" },
	{ ".mjs", "text/javascript; charset=utf-8" },
	{ ".css", "text/css; charset=utf-8" },
	{ ".json", "application/json" },
	{ ".map", "application/json" },
	{ ".webmanifest", "application/manifest+json" },
	{ ".svg", "image/svg+xml" },
	{ ".png", "image/png" },
	{ ".jpg", "image/jpeg" },
	{ ".webp", "image/webp" },
	{ ".gif", "image/gif" },
	{ ".ico", "image/x-icon" },
	{ ".woff2", "font/woff2" },
	{ ".wasm", "application/wasm" },
	{ ".mp3", "audio/mpeg" },
	{ ".ogg", "audio/ogg" },
	{ ".txt", "text/plain; charset=utf-8" },
	{ ".php", "text/plain; charset=utf-8" },
};

static const char *type_of(struct str path)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (str_ends(path, str_c(types[i].ending)))
			return types[i].type;
	return "application/octet-stream";
}

/* "app-5GTWZQ2C.js", "app.3f2a9c1b.css": what bundlers append. */
static bool is_hashed(struct str path)
{
	ptrdiff_t dot = -1, from = -1;
	size_t upper = 0, hex = 0;

	for (size_t i = 0; i < path.n; i++)
		if (path.p[i] == '.')
			dot = (ptrdiff_t)i;
	for (ptrdiff_t i = 0; i < dot; i++)
		if (path.p[i] == '-' || path.p[i] == '.' || path.p[i] == '/')
			from = i + 1;
	if (dot < 0 || from < 1 || dot - from < 8 || path.p[from - 1] == '/')
		return false;
	for (ptrdiff_t i = from; i < dot; i++) {
		upper += isupper((unsigned char)path.p[i]) || isdigit((unsigned char)path.p[i]);
		hex += isdigit((unsigned char)path.p[i]) || (path.p[i] >= 'a' && path.p[i] <= 'f');
	}
	return upper == (size_t)(dot - from) || hex == (size_t)(dot - from);
}

static bool exists(int dir, const char *name, const char *ending)
{
	char full[NAME_MAX + 8];
	struct stat st;

	snprintf(full, sizeof full, "%s%s", name, ending);
	return fstatat(dir, full, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static bool is_variant(int dir, struct str name)
{
	char plain[NAME_MAX + 1];

	if (!str_ends(name, STR(".br")) && !str_ends(name, STR(".gz")))
		return false;
	snprintf(plain, sizeof plain, "%.*s", (int)name.n - 3, name.p);
	return exists(dir, plain, "");
}

static void add_file(struct folder *f, int dir, const char *prefix, const char *name)
{
	size_t n = strlen(prefix) + strlen(name) + 2;
	struct file *e = NEW(struct file);

	e->path = mem_alloc(n);
	snprintf(e->path, n, "%s/%s", prefix, name);
	e->type = type_of(str_c(name));
	e->is_page = str_ends(str_c(name), STR(".html"));
	e->is_hashed = is_hashed(str_c(e->path));
	e->has_br = exists(dir, name, ".br");
	e->has_gz = exists(dir, name, ".gz");
	hash_put(f->files, str_c(e->path), e);
	f->n++;
}

static int list_folder(struct folder *f, int fd, const char *prefix, unsigned depth)
{
	DIR *d = fdopendir(fd);
	int err = 0;

	if (!d) {
		close(fd);
		return err_from_errno(errno);
	}
	for (struct dirent *e; !err && (e = readdir(d));) {
		struct stat st;
		char deeper[PATH_MAX];
		if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISREG(st.st_mode) && !is_variant(dirfd(d), str_c(e->d_name)))
			add_file(f, dirfd(d), prefix, e->d_name);
		if (f->n > FILES_MAX || (S_ISDIR(st.st_mode) && depth == DEPTH_MAX))
			err = ERR_LIMIT;
		if (err || !S_ISDIR(st.st_mode))
			continue;
		snprintf(deeper, sizeof deeper, "%s/%s", prefix, e->d_name);
		int sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		err = sub < 0 ? err_from_errno(errno) : list_folder(f, sub, deeper, depth + 1);
	}
	closedir(d);
	return err;
}

static void folder_free(struct folder *f)
{
	struct str key;
	void *value;

	for (size_t pos = 0; hash_next(f->files, &pos, &key, &value);) {
		struct file *e = value;
		mem_free(e->path);
		mem_free(e);
	}
	hash_free(f->files);
	if (f->fd >= 0)
		close(f->fd);
	mem_free(f);
}

int static_init(const char *root, struct err_msg *msg)
{
	struct folder *f = NEW(struct folder);
	int err = 0;

	f->files = hash_new();
	f->fd = -1;
	if (*root) {
		f->fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int copy = f->fd < 0 ? -1 : openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		err = copy < 0 ? err_from_errno(errno) : list_folder(f, copy, "", 0);
	}
	if (err) {
		folder_free(f);
		return err_set(msg, err,
			       "http.web_root: %s cannot be listed (%s): name a folder that the server may read, with "
			       "at most %d files",
			       root, err_text(err), FILES_MAX);
	}
	f->former = atomic_load(&present);
	atomic_store_explicit(&present, f, memory_order_release);
	return 0;
}

/* "br", "gzip;q=0.5", "gzip;q=0" (RFC 9110 12.5.3). */
static bool accepts(struct str list, const char *coding)
{
	struct str part, name;

	while (list.p && str_split(&list, ',', &part)) {
		struct str rest = str_trim(part);
		str_split(&rest, ';', &name);
		if (!str_ieq(str_trim(name), str_c(coding)))
			continue;
		rest = str_trim(rest);
		return !rest.p || !(str_eq_c(rest, "q=0") || str_starts(rest, STR("q=0.0")));
	}
	return false;
}

/* What a page of ours may load, and who may put it into a frame (rows W07, W08). */
static struct str policy(struct http_request *rq)
{
	char origins[2048];

	http_print_origins(origins, sizeof origins);
	return arena_printf(rq->a,
			    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src "
			    "'self' data: blob:; media-src 'self' blob:; "
			    "font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri "
			    "'none'; form-action 'none'; "
			    "frame-ancestors 'self'%s\r\n",
			    origins);
}

bool static_answer(struct http_request *rq, struct str path)
{
	const struct folder *f = atomic_load_explicit(&present, memory_order_acquire);
	const struct file *e = f ? hash_get(f->files, path) : NULL;
	struct str coding = http_header_get(rq, "accept-encoding");
	struct stat st;

	if (!e)
		return false;
	const char *ending = e->has_br && accepts(coding, "br")	    ? ".br"
			     : e->has_gz && accepts(coding, "gzip") ? ".gz"
								    : "";
	int fd = openat(f->fd, arena_printf(rq->a, "%s%s", e->path + 1, ending).p,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	struct str etag = arena_printf(rq->a, "\"%llx-%llx%s\"", (unsigned long long)st.st_size,
				       (unsigned long long)st.st_mtim.tv_sec * 1000000000 +
					       (unsigned long long)st.st_mtim.tv_nsec,
				       ending);
	struct str extra = arena_printf(rq->a, "Cache-Control: %s\r\n%s%s%s",
					e->is_hashed ? "public, max-age=31536000, immutable" : "no-cache",
					e->has_br || e->has_gz ? "Vary: Accept-Encoding\r\n" : "",
					*ending == '\0'	   ? ""
					: ending[1] == 'b' ? "Content-Encoding: br\r\n"
							   : "Content-Encoding: gzip\r\n",
					e->is_page ? policy(rq).p : "");
	http_answer_file(rq, &(struct http_file){ .fd = fd,
						  .size = (uint64_t)st.st_size,
						  .type = e->type,
						  .etag = etag.p,
						  .extra = extra.p });
	return true;
}
