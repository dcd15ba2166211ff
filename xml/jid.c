/*
 * Addresses: cutting, the ASCII fast path, domain labels, comparing. Everything that is not plain ASCII goes to
 * jid_prep.c. Class tables say what each part may hold unchanged; upper case in local parts and domains is folded
 * here without stringprep. Domains (RFC 7622 3.2): host names as labels of letters, digits, hyphen and underscore,
 * U-labels kept as prepared Unicode, A-labels kept as they are, IPv6 in brackets; one trailing dot is removed. Any
 * thread.
 */
#include "xml/jid.h"
#include "base/err.h"
#include "base/mem.h"
#include "xml/jid_prep.h"
#include <arpa/inet.h>
#include <assert.h>
#include <idna.h>
#include <string.h>

#define LABEL_MAX 63

enum { NO, KEEP, FOLD, PREP }; /* what a byte means for a part */

static int class_of(enum jid_part part, uint8_t c)
{
	if (c >= 0x80)
		return PREP;
	if (c < 0x20 || c == 0x7f)
		return NO;
	if (part == PART_RESOURCE)
		return KEEP;
	if (c >= 'A' && c <= 'Z')
		return FOLD;
	if (part == PART_LOCAL)
		return c == ' ' || strchr("\"&'/:<>@", c) ? NO : KEEP;
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ? KEEP : NO;
}

static uint8_t classes[3][256];
__attribute__((constructor)) static void fill_classes(void)
{
	for (int part = 0; part < 3; part++)
		for (int c = 0; c < 256; c++)
			classes[part][c] = (uint8_t)class_of((enum jid_part)part, (uint8_t)c);
}

static struct str fold_ascii(struct arena *a, struct str in)
{
	char *p = arena_alloc(a, in.n + 1);

	for (size_t i = 0; i < in.n; i++)
		p[i] = in.p[i] >= 'A' && in.p[i] <= 'Z' ? (char)(in.p[i] + 32) : in.p[i];
	p[in.n] = 0;
	return str_of(p, in.n);
}

/* The fast path; sends the rest to stringprep. */
static int prep_part(struct arena *a, enum jid_part part, struct str in, struct str *out)
{
	unsigned seen = 0;

	if (in.n == 0 || in.n > JID_PART_MAX)
		return ERR_SYNTAX;
	for (size_t i = 0; i < in.n; i++)
		seen |= 1u << classes[part][(uint8_t)in.p[i]];
	if (seen & 1u << PREP)
		return jid_prep(a, part, in, out);
	if (seen & 1u << NO)
		return ERR_SYNTAX;
	*out = seen & 1u << FOLD ? fold_ascii(a, in) : in;
	return 0;
}

/* A label with characters beyond ASCII must have an A-label form (RFC 5890 2.3.2.1), which limits its length too. */
static int check_u_label(struct str label)
{
	uint32_t points[LABEL_MAX + 1];
	char ascii[LABEL_MAX + 1];
	size_t n = 0;

	for (size_t i = 0; i < label.n; n++) {
		uint8_t c = (uint8_t)label.p[i];
		size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		uint32_t u = len == 1 ? c : c & (0xffu >> (len + 1));
		if (n == LABEL_MAX)
			return ERR_SYNTAX;
		for (size_t k = 1; k < len; k++)
			u = u << 6 | ((uint8_t)label.p[i + k] & 0x3f);
		points[n] = u;
		i += len;
	}
	return idna_to_ascii_4i(points, n, ascii, IDNA_ALLOW_UNASSIGNED | IDNA_USE_STD3_ASCII_RULES) == IDNA_SUCCESS
		       ? 0
		       : ERR_SYNTAX;
}

static int check_labels(struct str domain)
{
	struct str rest = domain, label;

	while (str_split(&rest, '.', &label)) {
		bool ascii = true;
		if (label.n == 0)
			return ERR_SYNTAX;
		for (size_t i = 0; i < label.n; i++) {
			int class = classes[PART_DOMAIN][(uint8_t)label.p[i]];
			if (class == NO || class == FOLD)
				return ERR_SYNTAX;
			ascii = ascii && class != PREP;
		}
		if (ascii && (label.n > LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-'))
			return ERR_SYNTAX;
		if (!ascii && check_u_label(label) != 0)
			return ERR_SYNTAX;
	}
	return 0;
}

static int prep_ipv6(struct arena *a, struct str in, struct str *out)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (in.n < 4 || in.n - 2 >= sizeof text || in.p[in.n - 1] != ']')
		return ERR_SYNTAX;
	memcpy(text, in.p + 1, in.n - 2);
	text[in.n - 2] = 0;
	if (strlen(text) != in.n - 2 || inet_pton(AF_INET6, text, &addr) != 1)
		return ERR_SYNTAX;
	*out = fold_ascii(a, in);
	return 0;
}

/* IDNA's other full stops: nameprep has turned U+FF0E into '.' and U+FF61 into U+3002, which stays (RFC 3490 3.1). */
static struct str map_stops(struct arena *a, struct str in)
{
	static const char stop[] = "\xe3\x80\x82";
	char *p = arena_alloc(a, in.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < in.n; n++) {
		bool hit = in.n - i >= 3 && memcmp(in.p + i, stop, 3) == 0;
		p[n] = hit ? '.' : in.p[i];
		i += hit ? 3 : 1;
	}
	p[n] = 0;
	return str_of(p, n);
}

int jid_prep_local(struct arena *a, struct str in, struct str *out)
{
	return prep_part(a, PART_LOCAL, in, out);
}

int jid_prep_resource(struct arena *a, struct str in, struct str *out)
{
	return prep_part(a, PART_RESOURCE, in, out);
}

int jid_prep_domain(struct arena *a, struct str in, struct str *out)
{
	struct str d;

	if (in.n && in.p[0] == '[')
		return prep_ipv6(a, in, out);
	if (prep_part(a, PART_DOMAIN, in, &d) != 0)
		return ERR_SYNTAX;
	if (memchr(d.p, 0xe3, d.n))
		d = map_stops(a, d);
	if (d.p[d.n - 1] == '.')
		d.n--;
	if (d.n == 0 || check_labels(d) != 0)
		return ERR_SYNTAX;
	*out = d;
	return 0;
}

struct jid jid_make(struct arena *a, struct str local, struct str domain, struct str resource)
{
	size_t n = (local.n ? local.n + 1 : 0) + domain.n + (resource.n ? resource.n + 1 : 0);
	char *p = arena_alloc(a, n + 1), *w = p;

	assert(domain.n > 0 && local.n <= JID_PART_MAX && domain.n <= JID_PART_MAX && resource.n <= JID_PART_MAX);
	if (local.n) {
		memcpy(w, local.p, local.n);
		w += local.n;
		*w++ = '@';
	}
	memcpy(w, domain.p, domain.n);
	w += domain.n;
	if (resource.n) {
		*w++ = '/';
		memcpy(w, resource.p, resource.n);
	}
	p[n] = 0;
	return (struct jid){ .full = { p, n }, .local_n = (uint16_t)local.n, .domain_n = (uint16_t)domain.n };
}

int jid_parse(struct arena *a, struct str in, struct jid *out)
{
	struct str bare = in, local = STR_NONE, domain, resource = STR_NONE, l = STR_NONE, d, r = STR_NONE;
	ptrdiff_t slash, at;

	*out = (struct jid){ 0 };
	if (!in.p || in.n > 3 * JID_PART_MAX + 2)
		return ERR_SYNTAX;
	slash = str_find(in, '/');
	if (slash >= 0) {
		bare.n = (size_t)slash;
		resource = str_of(in.p + slash + 1, in.n - bare.n - 1);
		if (jid_prep_resource(a, resource, &r) != 0)
			return ERR_SYNTAX;
	}
	domain = bare;
	at = str_find(bare, '@');
	if (at >= 0) {
		local = str_of(bare.p, (size_t)at);
		domain = str_of(bare.p + at + 1, bare.n - local.n - 1);
		if (jid_prep_local(a, local, &l) != 0)
			return ERR_SYNTAX;
	}
	if (jid_prep_domain(a, domain, &d) != 0)
		return ERR_SYNTAX;
	if (l.p == local.p && d.p == domain.p && d.n == domain.n && r.p == resource.p)
		*out = (struct jid){ .full = in, .local_n = (uint16_t)l.n, .domain_n = (uint16_t)d.n };
	else
		*out = jid_make(a, l, d, r);
	return 0;
}

bool jid_eq(const struct jid *a, const struct jid *b)
{
	return a->local_n == b->local_n && a->domain_n == b->domain_n && str_eq(a->full, b->full);
}

bool jid_bare_eq(const struct jid *a, const struct jid *b)
{
	return a->local_n == b->local_n && a->domain_n == b->domain_n && str_eq(jid_bare(a), jid_bare(b));
}

struct jid jid_dup(struct arena *a, struct jid j)
{
	if (j.full.p)
		j.full = arena_str(a, j.full);
	return j;
}

struct jid jid_dup_heap(struct jid j)
{
	if (j.full.p)
		j.full.p = str_dup(j.full);
	return j;
}
