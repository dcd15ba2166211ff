/*
 * xml/parser: segmentation must not matter (rows X05-X07, M6). Every conversation is fed whole, cut at every byte, in
 * three pieces and byte by byte; what is reported is equal, and each unit is reported by the feed that brings its
 * last byte.
 */
#include "tests/lib/parsed.h"
#include "tests/lib/test.h"

#define UNITS 8

/* Each unit is complete with its last byte; the first is a header (or declaration and header). */
static const char *const corpus[][UNITS] = {
	{ "<?xml version='1.0'?>" PARSED_HEADER,
	  "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>",
	  "<iq type='set' id='b1'><bind "
	  "xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>\xd0\xb4\xd0\xbe\xd0\xbc</resource></bind></iq>",
	  "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v='/></presence>",
	  "<message to=\"a@b/c\" type='chat' id='1'><body>1 &lt; 2 &amp;&#38;&#x26; \xf0\x9f\x98\x80</body><active "
	  "xmlns='http://jabber.org/protocol/chatstates'/></message>",
	  "</stream:stream>" },
	{ PARSED_HEADER, "<a/>", " \n\t <b ></b >", "\r\n<c>\r\n\r\r\n</c>", "<d e='\r\n\t' f='>' g=\"'\" h='\"/>'/>",
	  "<i><![CDATA[]]]]><![CDATA[>]]]]]]><![CDATA[]]>x</i>", "<j>]] > ] ]]&gt;</j\n>" },
	{ " \n <s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' xml:lang='ru'>",
	  "<message><body>x</body></message>", "<s:error/>",
	  "<p:x xmlns:p='urn:p' p:y='z'><p:q/><p xmlns='urn:p'/></p:x>", "</s:stream >" },
	{ PARSED_HEADER, "<r xmlns='urn:xmpp:sm:3'/>", "<r xmlns='urn:xmpp:sm:3'/>",
	  "<iq id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>", "<a xmlns='urn:xmpp:sm:3' h='1'/>" },
	/* ending in an error: the condition is the same, and comes with the byte that decides */
	{ PARSED_HEADER, "<a/>", "<!D" },
	{ PARSED_HEADER, "<message><body/><!-" },
	{ PARSED_HEADER, "<message><?" },
	{ PARSED_HEADER, "<a><b></a></b>" },
	{ PARSED_HEADER, "<a>&foo;</a>" },
	{ PARSED_HEADER, "<a>\xe2\x82</a>" },
	{ PARSED_HEADER, "<p:a/>" },
	{ PARSED_HEADER, "<a/>", "x" },
};

static struct str joined(struct arena *a, const char *const *units)
{
	struct str s = STR("");
	for (size_t i = 0; i < UNITS && units[i]; i++)
		s = arena_cat(a, s, str_c(units[i]), STR_NONE);
	return s;
}

/* Feeds pieces that end at the given offsets and at the end; the log in the arena. */
static struct str fed_in_pieces(struct arena *a, struct str all, const size_t *cuts, size_t n)
{
	struct parsed p;
	size_t at = 0;

	parsed_init(&p, PARSED_LIMITS);
	for (size_t i = 0; i <= n; i++) {
		size_t to = i < n ? cuts[i] : all.n;
		parsed_feed(&p, str_of(all.p + at, to - at), NULL);
		at = to;
	}
	struct str log = arena_str(a, buf_str(&p.log));
	parsed_clear(&p);
	return log;
}

TEST(two_and_three_pieces)
{
	struct arena *a = arena_new(65536);

	for (size_t i = 0; i < sizeof corpus / sizeof *corpus; i++) {
		struct str all = joined(a, corpus[i]), whole = fed_in_pieces(a, all, NULL, 0);
		unsigned different = 0;
		ok(whole.n > 0, "conversation %zu reports something", i);
		for (size_t cut = 0; cut <= all.n; cut++) {
			size_t end = cut + 1 + cut % 17, cuts[] = { cut, end < all.n ? end : all.n };
			struct arena_mark mark = arena_mark(a);
			different += !str_eq(fed_in_pieces(a, all, cuts, 1), whole);
			different += !str_eq(fed_in_pieces(a, all, cuts, 2), whole);
			arena_release(a, mark);
		}
		ok(different == 0, "conversation %zu: %zu bytes, %u of the cuts differ", i, all.n, different);
		arena_reset(a);
	}
	arena_free(a);
}

/* Reports so far: header, stanzas, close, error. */
static unsigned reports(const struct parsed *p)
{
	return p->opened + p->stanzas + p->closed + (p->error != 0);
}

TEST(byte_by_byte_each_unit_at_its_last_byte)
{
	struct arena *a = arena_new(65536);

	for (size_t i = 0; i < sizeof corpus / sizeof *corpus; i++) {
		struct str whole = fed_in_pieces(a, joined(a, corpus[i]), NULL, 0);
		struct parsed p;
		unsigned late = 0, early = 0, units = 0;
		parsed_init(&p, PARSED_LIMITS);
		for (; units < UNITS && corpus[i][units]; units++)
			for (const char *c = corpus[i][units]; *c; c++) {
				early += reports(&p) > units;
				parsed_feed(&p, str_of(c, 1), NULL);
				if (!c[1])
					late += reports(&p) != units + 1;
			}
		ok(late == 0 && early == 0, "conversation %zu: of %u units %u late, %u early", i, units, late, early);
		is_str(buf_str(&p.log), whole);
		parsed_clear(&p);
		arena_reset(a);
	}
	arena_free(a);
}

TEST(m6_a_tail_shorter_than_its_head)
{
	/* what Expat 2.5.0-1+deb12u5 holds back when fed the two pieces itself */
	struct parsed p;

	parsed_init(&p, PARSED_LIMITS);
	parsed_feed(&p, STR(PARSED_HEADER), NULL);
	parsed_feed(&p, STR("<message to='someone@example.org/with-a-long-resource' id='12345678' type='chat"), NULL);
	is_int(p.stanzas, 0);
	parsed_feed(&p, STR("'/>"), NULL);
	is_int(p.stanzas, 1);
	parsed_clear(&p);
}

TEST(many_streams_share_the_objects_of_a_thread)
{
	/* 20 conversations byte by byte in turn: pooled objects must carry nothing from one stream to another */
	struct arena *a = arena_new(65536);
	struct str all[20], whole[20];
	struct parsed p[20];
	size_t longest = 0, n = sizeof corpus / sizeof *corpus;

	for (size_t i = 0; i < 20; i++) {
		all[i] = joined(a, corpus[i % n]);
		whole[i] = fed_in_pieces(a, all[i], NULL, 0);
		longest = all[i].n > longest ? all[i].n : longest;
		parsed_init(&p[i], PARSED_LIMITS);
	}
	for (size_t at = 0; at < longest; at++)
		for (size_t i = 0; i < 20; i++)
			if (at < all[i].n)
				parsed_feed(&p[i], str_of(all[i].p + at, 1), NULL);
	for (size_t i = 0; i < 20; i++) {
		is_str(buf_str(&p[i].log), whole[i]);
		parsed_clear(&p[i]);
	}
	arena_free(a);
}
