/* The target of a request: decoded once, refused unless it is in plain form (row W05); query parameters. No state; any thread. */
#include "base/err.h"
#include "bosh/http_impl.h"
#include <string.h>

/* Decodes %XX; ERR_SYNTAX when a % is not followed by two hex digits. */
static int decode(struct arena *a, struct str s, bool strict, bool plus, struct str *out)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char byte;
		if (s.p[i] == '%' && i + 2 < s.n && hex_decode(str_of(s.p + i + 1, 2), &byte, 1) == 1) {
			p[n++] = byte;
			i += 2;
		} else if (s.p[i] == '%' && strict) {
			return ERR_SYNTAX;
		} else {
			p[n++] = plus && s.p[i] == '+' ? ' ' : s.p[i];
		}
	}
	*out = str_of(p, n);
	return 0;
}

static bool has(struct str s, const char *what)
{
	return memmem(s.p, s.n, what, strlen(what)) != NULL;
}

/* One way to write each path, so that what is matched is what is served. */
static bool is_plain(struct str path)
{
	for (size_t i = 0; i < path.n; i++)
		if ((unsigned char)path.p[i] < 0x20 || path.p[i] == 0x7f || path.p[i] == '\\')
			return false;
	return !has(path, "//") && !has(path, "/./") && !has(path, "/../") && !str_ends(path, STR("/.")) &&
	       !str_ends(path, STR("/..")) && str_utf8_valid(path);
}

/* An encoded slash would be data for one reader and a separator for the next. */
static bool hides_slash(struct str path)
{
	return has(path, "%2f") || has(path, "%2F");
}

/* RFC 9112 3.2.2: a server takes the absolute form too. */
static struct str without_authority(struct str target)
{
	struct str rest = str_starts(target, STR("http://"))	? str_of(target.p + 7, target.n - 7)
			  : str_starts(target, STR("https://")) ? str_of(target.p + 8, target.n - 8)
								: STR_NONE;
	ptrdiff_t slash = rest.p ? str_find(rest, '/') : -1;

	if (!rest.p)
		return target;
	return slash < 0 ? STR("/") : str_of(rest.p + slash, rest.n - (size_t)slash);
}

int http_path_take(struct http_request *rq, struct str target)
{
	struct str t = without_authority(target);
	ptrdiff_t q = str_find(t, '?');
	struct str path = q < 0 ? t : str_of(t.p, (size_t)q);

	rq->query = q < 0 ? STR_NONE : str_of(t.p + q + 1, t.n - (size_t)q - 1);
	rq->path = STR("");
	if (!path.n || path.p[0] != '/' || hides_slash(path) || str_find(path, '#') >= 0)
		return ERR_SYNTAX;
	if (decode(rq->a, path, true, false, &path) || !is_plain(path))
		return ERR_SYNTAX;
	rq->path = path;
	return 0;
}

struct str http_query(struct http_request *rq, const char *name)
{
	struct str rest = rq->query, part, value;

	while (rest.p && str_split(&rest, '&', &part)) {
		ptrdiff_t eq = str_find(part, '=');
		struct str key = eq < 0 ? part : str_of(part.p, (size_t)eq);
		if (!str_eq_c(key, name))
			continue;
		decode(rq->a, eq < 0 ? STR("") : str_of(part.p + eq + 1, part.n - (size_t)eq - 1), false, true, &value);
		return value;
	}
	return STR_NONE;
}

struct str http_form_text(struct arena *a, struct str s)
{
	struct str out;

	decode(a, s, false, true, &out);
	return out;
}
