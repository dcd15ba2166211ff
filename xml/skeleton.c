/*
 * Skeletons of names for look-alike detection (row I05, XEP-0045 security considerations): two names that a person
 * could take for each other have equal skeletons. Case folding and NFKC by libidn's tables, then marks and invisible
 * characters go, and what looks like a Latin letter or digit becomes one. A skeleton is only compared, never shown or
 * stored as a name. No state: any thread.
 */
#include "xml/jid.h"
#include <idn-free.h>
#include <stringprep.h>
#include <string.h>

struct confusable {
	uint32_t from;
	const char *to;
};
static const struct confusable confusables[] = {
#define CONFUSABLE(point, text) { point, text },
#include "xml/confusables.def"
#undef CONFUSABLE
};

/* Base letters of U+00C0..U+024F and U+1E00..U+1EFF; '.' keeps the character. */
static const char latin_bases[] = "aaaaaa.ceeeeiiiidnoooooxouuuuyp.aaaaaa.ceeeeiiiidnooooo.ouuuuypy"
				  "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii..jjkkkllllll."
				  ".llnnnnnn.nnoooooo..rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"
				  "bbbb...ccdddd...effg..iikkl..nnooo..pp.....ttttuu.vyyzz........."
				  "l..!.........aaiioouuuuuuuuuu.aaaa..ggggkkoooo..j...gg..nnaa...."
				  "aaaaeeeeiiiioooorrrruuuusstt..hh....zzaaeeooooooooyy............"
				  "................";
static const char latin_more_bases[] = "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm"
				       "mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv"
				       "wwwwwwwwwwxxxxyyzzzzzzhtwy.s....aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
				       "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy......";

/* Combining marks, controls, joiners, fillers, variation selectors, tags: nothing of their own to see. */
static const struct {
	uint32_t first, last;
} dropped[] = {
	{ 0x00, 0x1f },	      { 0x7f, 0x9f },	    { 0xad, 0xad },	{ 0x2b0, 0x2b8 },   { 0x2c0, 0x2c7 },
	{ 0x2c9, 0x36f },     { 0x483, 0x489 },	    { 0x559, 0x55f },	{ 0x591, 0x5bf },   { 0x5c1, 0x5c7 },
	{ 0x610, 0x61c },     { 0x64b, 0x65f },	    { 0x670, 0x670 },	{ 0x115f, 0x1160 }, { 0x17b4, 0x17b5 },
	{ 0x180b, 0x180f },   { 0x1ab0, 0x1aff },   { 0x1dc0, 0x1dff }, { 0x200b, 0x200f }, { 0x2028, 0x202e },
	{ 0x2060, 0x206f },   { 0x20d0, 0x20ff },   { 0x2800, 0x2800 }, { 0x302a, 0x302f }, { 0x3164, 0x3164 },
	{ 0xfe00, 0xfe0f },   { 0xfe20, 0xfe2f },   { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff9, 0xfffb },
	{ 0x1d165, 0x1d182 }, { 0xe0000, 0xe0fff },
};

static bool is_dropped(uint32_t u)
{
	for (size_t i = 0; i < sizeof dropped / sizeof *dropped && dropped[i].first <= u; i++)
		if (u <= dropped[i].last)
			return true;
	return false;
}

static const char *confusable_of(uint32_t u)
{
	size_t lo = 0, hi = sizeof confusables / sizeof *confusables;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (confusables[mid].from == u)
			return confusables[mid].to;
		if (confusables[mid].from < u)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static char base_of(uint32_t u)
{
	if (u >= 0xc0 && u <= 0x24f)
		return latin_bases[u - 0xc0];
	if (u >= 0x1e00 && u <= 0x1eff)
		return latin_more_bases[u - 0x1e00];
	return '.';
}

static bool is_space(uint32_t u)
{
	return u == ' ' || u == 0xa0 || u == 0x1680 || (u >= 0x2000 && u <= 0x200a) || u == 0x202f || u == 0x205f ||
	       u == 0x3000;
}

/* Writes at most 4 bytes; returns how many. */
static size_t put_utf8(char *w, uint32_t u)
{
	int n = stringprep_unichar_to_utf8(u, w);
	return n > 0 ? (size_t)n : 0;
}

static size_t reduce(char *w, uint32_t u)
{
	const char *to = confusable_of(u);
	char base;

	if (to) {
		size_t n = strlen(to);
		memcpy(w, to, n);
		return n;
	}
	base = base_of(u);
	if (base != '.') {
		*w = base;
		return 1;
	}
	return put_utf8(w, u);
}

/* Case folding (table B.2 is made for use with NFKC), with the size that libidn's own profile gives it. */
static Stringprep_profile fold_step(void)
{
	const Stringprep_profile *row = stringprep_nameprep;

	while (row->operation && row->table != stringprep_rfc3454_B_2)
		row++;
	return *row;
}

/* Folded, normalised, folded again (normalising can bring capitals out); NULL when libidn cannot. */
static uint32_t *fold(struct arena *a, struct str in, size_t *out_n)
{
	const Stringprep_profile profile[] = {
		fold_step(), { STRINGPREP_NFKC, 0, NULL, 0 }, fold_step(), { 0, 0, NULL, 0 }
	};
	size_t n = 0, max = in.n * 20 + 16;
	uint32_t *wide = stringprep_utf8_to_ucs4(in.p, (ssize_t)in.n, &n), *v = NULL;

	if (wide && n <= max) {
		v = arena_alloc(a, max * sizeof *v);
		memcpy(v, wide, n * sizeof *v);
		if (stringprep_4i(v, &n, max, 0, profile) != STRINGPREP_OK)
			v = NULL;
	}
	idn_free(wide);
	*out_n = n;
	return v;
}

struct str jid_skeleton(struct arena *a, struct str local)
{
	size_t points = 0, n = 0;
	bool space = false;
	uint32_t *v;

	if (local.n == 0 || local.n > JID_PART_MAX || !str_utf8_valid(local) || !(v = fold(a, local, &points)))
		return local;
	char *out = arena_alloc(a, points * 4 + 1);
	for (size_t i = 0; i < points; i++) {
		if (is_dropped(v[i]))
			continue;
		if (is_space(v[i])) {
			space = n > 0;
			continue;
		}
		if (space)
			out[n++] = ' ';
		space = false;
		n += reduce(out + n, v[i]);
	}
	out[n] = 0;
	return str_of(out, n);
}
