/*
 * xml/parser: what is understood, what is refused and with which condition (rows X01, X08, X11-X14, M9, M10),
 * stopping, resting, documents. Limits are in test_parser_limits.c, segmentation in test_parser_split.c.
 */
#include "tests/lib/parsed.h"
#include "tests/lib/test.h"
#include <pthread.h>

#define NOT_WF PARSER_NOT_WELL_FORMED

/* A whole stream in one feed; the log of it must be `want`. */
static void check_stream(const char *header, const char *bytes, const char *want)
{
	struct parsed p;

	parsed_init(&p, PARSED_LIMITS);
	if (parsed_feed(&p, str_c(header), NULL) == 0) {
		buf_reset(&p.log);
		parsed_feed(&p, str_c(bytes), NULL);
	}
	if (!test_is_str(buf_str(&p.log), str_c(want), bytes, __FILE__, __LINE__))
		diag("%s", parser_error_text(p.parser));
	parsed_clear(&p);
}

TEST(a_stream)
{
	struct parsed p;

	parsed_init(&p, PARSED_LIMITS);
	is_int(parsed_feed(&p,
			   STR("<?xml version='1.0'?>\n" PARSED_HEADER "<message to='a'>\n<body>hi</body></message> \n "
			       "<presence/><iq type=\"get\" id='1'><query "
			       "xmlns='jabber:iq:roster'/></iq></stream:stream>\n"),
			   NULL),
	       0);
	is_str(buf_str(&p.log), STR("open <stream:stream xmlns:stream='http://etherx.jabber.org/streams' "
				    "to='example.org' version='1.0'/>\n"
				    "stanza <message to='a'>\n<body>hi</body></message>\n"
				    "stanza <presence/>\n"
				    "stanza <iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>\n"
				    "close\n"));
	parsed_clear(&p);
}

TEST(atoms_and_slices_of_the_tree)
{
	struct arena *a = arena_new(1024);
	struct node *n = NULL;
	struct parser_limits l = PARSED_LIMITS;

	is_int(parse_document(a,
			      STR("<message xmlns='jabber:client' xml:lang='ru' xmlns:p='urn:p' p:id='no' "
				  "id='yes'><body>a&amp;"
				  "<![CDATA[<b>]]>\nc</body><p:odd/><odd xmlns='urn:p'/></message>"),
			      &l, &n),
	       0);
	ok(node_is(n, A_message, NS_CLIENT), "atoms of the root");
	is_str(node_attr(n, "id"), STR("yes"));
	is_str(node_lang(n), STR("ru"));
	is_str(node_text(a, node_first(n)), STR("a&<b>\nc"));
	is_ptr(node_first(n)->first, node_first(n)->last); /* one text node, CDATA and references joined */
	struct node *odd = node_next(node_first(n));
	is_int(odd->name, A_NONE);
	is_str(odd->name_str, STR("odd"));
	is_str(odd->ns_str, STR("urn:p"));
	is_ptr(node_next_same(odd), n->last);
	is_ptr(odd->ns_str.p, n->last->ns_str.p); /* one copy of a namespace name a stanza */
	arena_free(a);
}

TEST(refused_inside_a_stream)
{
	static const struct {
		const char *bytes, *condition;
	} rows[] = {
		/* X01: DTD, comments, PIs, entities, a declaration in the middle */
		{ "<!DOCTYPE a [<!ENTITY b 'c'>]>", "restricted-xml" },
		{ "<message><!DOCTYPE a></message>", "restricted-xml" },
		{ "<!--x-->", "restricted-xml" },
		{ "<message><!-- x --></message>", "restricted-xml" },
		{ "<?x?>", "restricted-xml" },
		{ "<message><?x y?></message>", "restricted-xml" },
		{ "<?xml version='1.0'?>", "restricted-xml" },
		{ "<message><![IGNORE[x]]></message>", "restricted-xml" },
		{ "<message><!ELEMENT a ANY></message>", "restricted-xml" },
		{ "<message>&foo;</message>", "not-well-formed" },
		{ "<message a='&foo;'/>", "not-well-formed" },
		{ "<message>&#1;</message>", "not-well-formed" },
		{ "<message>&#x1;</message>", "not-well-formed" },
		{ "<message>&#xFFFE;</message>", "not-well-formed" },
		{ "<message>&#xD800;</message>", "not-well-formed" },
		{ "<message>&#x110000;</message>", "not-well-formed" },
		{ "<message>&lt</message>", "not-well-formed" },
		{ "<message>& </message>", "not-well-formed" },
		/* M10: bytes that are not XML characters */
		{ "<message>\x01</message>", "not-well-formed" },
		{ "<message>\xc0\x80</message>", "not-well-formed" },
		{ "<message>\xe0\x80\xaf</message>", "not-well-formed" },
		{ "<message>\xed\xa0\x80</message>", "not-well-formed" },
		{ "<message>\xef\xbf\xbe</message>", "not-well-formed" },
		{ "<message>\xef\xbf\xbf</message>", "not-well-formed" },
		{ "<message>\xf4\x90\x80\x80</message>", "not-well-formed" },
		{ "<message>\xff</message>", "not-well-formed" },
		{ "<message>\xc3<a/></message>", "not-well-formed" }, /* X12 */
		{ "<message a='\x02'/>", "not-well-formed" },
		{ "<message>]]></message>", "not-well-formed" },
		/* structure */
		{ "<message></body>", "not-well-formed" },
		{ "<message><a></b></message>", "not-well-formed" },
		{ "<message a='1' a='2'/>", "not-well-formed" },
		{ "<message a=1/>", "not-well-formed" },
		{ "<message a/>", "not-well-formed" },
		{ "<message 'a'/>", "not-well-formed" },
		{ "<message a='1'b='2'/>", "not-well-formed" },
		{ "<message a='<'/>", "not-well-formed" },
		{ "<message <a/>", "not-well-formed" },
		{ "<message/ >", "not-well-formed" },
		{ "< message/>", "not-well-formed" },
		{ "<1/>", "not-well-formed" },
		{ "<>", "not-well-formed" },
		{ "<=/>", "not-well-formed" },
		{ "<message></ message>", "not-well-formed" },
		{ "<message></message x='1'>", "not-well-formed" },
		{ "text", "not-well-formed" },
		{ " &#32;<message/>", "not-well-formed" },
		{ "<![CDATA[x]]>", "not-well-formed" },
		{ "</stream>", "not-well-formed" },
		{ "</stream:stream x=''>", "not-well-formed" },
		{ "</d>", "not-well-formed" },
		/* prefixes (X14, M10) */
		{ "<x:message/>", "bad-namespace-prefix" },
		{ "<message x:a=''/>", "bad-namespace-prefix" },
		{ "<message xmlns:x=''/>", "bad-namespace-prefix" },
		{ "<message xmlns:xml='urn:x'/>", "bad-namespace-prefix" },
		{ "<message xmlns:xmlns='urn:x'/>", "bad-namespace-prefix" },
		{ "<message xmlns='http://www.w3.org/2000/xmlns/'/>", "bad-namespace-prefix" },
		/* X13: the separator inside a namespace name */
		{ "<a:x xmlns:a='jabber:client&#10;message'/>", "not-well-formed" },
		{ "<x xmlns='jabber:client&#10;message'/>", "not-well-formed" },
	};
	char want[64];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(want, sizeof want, "error %s\n", rows[i].condition);
		check_stream(PARSED_HEADER, rows[i].bytes, want);
	}
}

TEST(nul_bytes)
{
	struct parsed p;

	parsed_init(&p, PARSED_LIMITS);
	is_int(parsed_feed(&p, STR(PARSED_HEADER "<message>\0</message>"), NULL), NOT_WF);
	parsed_clear(&p);
	parsed_init(&p, PARSED_LIMITS);
	is_int(parsed_feed(&p, STR(PARSED_HEADER "<\0"), NULL), NOT_WF);
	parsed_clear(&p);
}

TEST(accepted_and_printed_in_our_way)
{
	/* X12, X14: prefixes, CDATA, quotes and white space of the sender do not reach anyone */
	check_stream(PARSED_HEADER, "<message a=\"'&lt;>\" ><b><![CDATA[<x>]]></b  ></message\n>",
		     "stanza <message a='&apos;&lt;&gt;'><b>&lt;x&gt;</b></message>\n");
	check_stream(PARSED_HEADER, "<x:message xmlns:x='urn:a'/>", "stanza <message xmlns='urn:a'/>\n");
	check_stream(PARSED_HEADER, "<x:message xmlns:x='jabber:client'><x:body/></x:message>",
		     "stanza <message><body/></message>\n");
	check_stream(PARSED_HEADER, "<message xmlns:stream='urn:b'><stream:error/></message>",
		     "stanza <message><error xmlns='urn:b'/></message>\n");
	check_stream(PARSED_HEADER, "<message><stream:error/></message>",
		     "stanza <message><error xmlns='http://etherx.jabber.org/streams'/></message>\n");
	check_stream(PARSED_HEADER, "<stream:error><a/></stream:error>", "stanza <stream:error><a/></stream:error>\n");
	check_stream(PARSED_HEADER, "<message>\xf0\x9f\xbf\xbe\xc2\x85\x7f</message>",
		     "stanza <message>\xf0\x9f\xbf\xbe\xc2\x85\x7f</message>\n");
	check_stream(PARSED_HEADER, "<message a='>' b='/>' c=\"]]>\">]] ]>&#93;]&gt;</message>",
		     "stanza <message a='&gt;' b='/&gt;' c=']]&gt;'>]] ]&gt;]]&gt;</message>\n");
	check_stream(PARSED_HEADER, "<a xmlnsx='' xmln='' x:xmlns='' xmlns:x='urn:x'/>",
		     "stanza <a xmlnsx='' xmln='' xmlns:ns3='urn:x' ns3:xmlns=''/>\n");
	check_stream(PARSED_HEADER, "</stream:stream\n >", "close\n");
}

TEST(nothing_leaks_from_one_stanza_to_the_next)
{
	check_stream(PARSED_HEADER, "<a xmlns:p='urn:1'/><p:b/>", "stanza <a/>\nerror bad-namespace-prefix\n");
	check_stream(PARSED_HEADER, "<a xmlns='urn:1'/><b/>", "stanza <a xmlns='urn:1'/>\nstanza <b/>\n");
	/* an error in one stream, then another stream of the same thread */
	check_stream(PARSED_HEADER, "<a><b xmlns:q='urn:q'></a></b>", "error not-well-formed\n");
	check_stream(PARSED_HEADER, "<q:a/>", "error bad-namespace-prefix\n");
	check_stream(PARSED_HEADER, "<b/>", "stanza <b/>\n");
}

TEST(other_headers)
{
	/* default namespace and prefix the other way round */
	check_stream("<stream xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client'>",
		     "<c:message><c:body/></c:message><x/></stream>",
		     "stanza <message><body/></message>\nstanza <stream:x/>\nclose\n");
	check_stream("<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>",
		     "<message/><s:error/></s:stream>", "stanza <message/>\nstanza <stream:error/>\nclose\n");
	check_stream("<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>", "<message/>",
		     "stanza <message xmlns=''/>\n");
	check_stream("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
		     "xmlns:db='urn:&lt;&apos;'>",
		     "<db:x/><message/></stream:stream>",
		     "stanza <x xmlns='urn:&lt;&apos;'/>\nstanza <message/>\nclose\n");
	check_stream("<a xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", "</stream:stream>",
		     "error not-well-formed\n");
}

/* Header alone: condition or the content namespace. */
static void check_header(struct str bytes, const char *want_condition, const char *want_ns)
{
	struct parsed p;

	parsed_init(&p, PARSED_LIMITS);
	int err = parsed_feed(&p, bytes, NULL);
	if (want_condition) {
		ok(err != 0, "refused: %.*s", STR_ARG(bytes));
		is_cstr(parser_error_condition(err), want_condition);
		is_int(p.opened, 0);
	} else {
		ok(err == 0 && p.opened == 1, "taken: %.*s (%s)", STR_ARG(bytes), parser_error_text(p.parser));
		is_str(parser_content_ns(p.parser), str_c(want_ns));
	}
	parsed_clear(&p);
}

TEST(headers_and_declarations)
{
	check_header(STR(PARSED_HEADER), NULL, "jabber:client");
	check_header(STR(" \r\n<?xml version=\"1.0\" encoding='utf-8' standalone='yes' ?>\n" PARSED_HEADER), NULL,
		     "jabber:client");
	check_header(STR("<?xml version='1.0' encoding='UTF-8'?>" PARSED_HEADER), NULL, "jabber:client");
	check_header(STR("<a xmlns='urn:whatever'>"), NULL, "urn:whatever");
	check_header(STR("<a>"), NULL, "");
	check_header(STR("<?xml version='1.0' encoding='ISO-8859-1'?>" PARSED_HEADER), "unsupported-encoding", NULL);
	check_header(STR("<?xml version='1.0' encoding='UTF-16'?>" PARSED_HEADER), "unsupported-encoding", NULL);
	check_header(STR("<?xml version='1.1'?>" PARSED_HEADER), "not-well-formed", NULL);
	check_header(STR("<?xml encoding='utf-8'?>" PARSED_HEADER), "not-well-formed", NULL);
	check_header(STR("<?xml ?>" PARSED_HEADER), "not-well-formed", NULL);
	check_header(STR("<?xml version='1.0'>" PARSED_HEADER), "not-well-formed", NULL);
	check_header(STR("<?xml version='1.0' standalone='maybe'?>" PARSED_HEADER), "not-well-formed", NULL);
	check_header(STR("<?xml version='1.0' standalone='no' encoding='utf-8'?>" PARSED_HEADER), "not-well-formed",
		     NULL);
	check_header(STR("<?xml version='1.0'?><?xml version='1.0'?>" PARSED_HEADER), "restricted-xml", NULL);
	check_header(STR("<?xml-stylesheet href='x'?>" PARSED_HEADER), "restricted-xml", NULL);
	check_header(STR("<!DOCTYPE a [<!ENTITY b 'c'>]>" PARSED_HEADER), "restricted-xml", NULL);
	check_header(STR("<!--x-->" PARSED_HEADER), "restricted-xml", NULL);
	check_header(STR("<stream:stream>"), "bad-namespace-prefix", NULL);
	check_header(STR("GET / HTTP/1.1\r\n"), "not-well-formed", NULL);
	check_header(STR("\x16\x03\x01"), "not-well-formed", NULL);
	check_header(STR("</stream:stream>"), "not-well-formed", NULL);
	check_header(STR("<a b=''b=''>"), "not-well-formed", NULL);
	check_header(STR("\xef\xbb\xbf" PARSED_HEADER), "not-well-formed", NULL);
	/* X11, M9: UTF-16 in either order, with and without the mark */
	check_header(STR("\xff\xfe<\0"), "unsupported-encoding", NULL);
	check_header(STR("\xfe\xff\0<"), "unsupported-encoding", NULL);
	check_header(STR("<\0?\0"), "unsupported-encoding", NULL);
	check_header(STR("\0<\0?"), "unsupported-encoding", NULL);
}

TEST(empty_stream)
{
	struct parsed p;
	size_t used = 0;

	parsed_init(&p, PARSED_LIMITS);
	is_int(parsed_feed(&p, STR("<a/><b/>"), &used), 0);
	is_str(buf_str(&p.log), STR("open <a xmlns=''/>\nclose\n"));
	is_int(used, 4);
	parsed_clear(&p);
}

TEST(stopping_leaves_the_rest_untouched)
{
	static const char bytes[] =
		PARSED_HEADER "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\x16\x03\x01<message/>";
	struct parsed p;
	size_t used;

	parsed_init(&p, PARSED_LIMITS);
	p.stop_after = 1;
	is_int(parsed_feed(&p, str_c(bytes), &used), 0);
	is_int(used, strstr(bytes, "\x16") - bytes); /* nothing glued behind is read (X08, X17) */
	is_int(p.stanzas, 1);
	is_int(parsed_feed(&p, STR("<message/>"), &used), 0);
	is_int(used, 0);
	is_int(p.stanzas, 1);
	parsed_clear(&p);

	parsed_init(&p, PARSED_LIMITS);
	p.stop_at_open = true;
	is_int(parsed_feed(&p, STR(PARSED_HEADER "<a/>"), &used), 0);
	is_int(used, strlen(PARSED_HEADER));
	parsed_clear(&p);

	/* the stanza ends in a later segment than it began in */
	parsed_init(&p, PARSED_LIMITS);
	p.stop_after = 2;
	is_int(parsed_feed(&p, STR(PARSED_HEADER "<a/><b"), &used), 0);
	is_int(parsed_feed(&p, STR("></b>xyz"), &used), 0);
	is_int(used, 5);
	is_int(p.stanzas, 2);
	parsed_clear(&p);
}

TEST(ten_thousand_restarts_with_bytes_glued_behind)
{
	/* X08: each stream is stopped in a callback, freed, and a new parser takes the rest of the bytes */
	static const char one[] = PARSED_HEADER "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>x</auth>";
	char all[4 * sizeof one];
	size_t n = 0, at, used;
	unsigned stanzas = 0;

	for (int i = 0; i < 4; i++, n += sizeof one - 1)
		memcpy(all + n, one, sizeof one - 1);
	for (int round = 0; round < 2500; round++)
		for (at = 0; at < n; at += used) {
			struct parsed p;
			parsed_init(&p, PARSED_LIMITS);
			p.stop_after = 1;
			parsed_feed(&p, str_of(all + at, n - at), &used);
			stanzas += p.stanzas;
			parsed_clear(&p);
		}
	is_int(stanzas, 10000);
}

TEST(errors_are_final)
{
	struct parsed p;
	size_t used;

	parsed_init(&p, PARSED_LIMITS);
	is_int(parsed_feed(&p, STR(PARSED_HEADER "<a/><!--"), NULL), PARSER_RESTRICTED);
	is_int(p.stanzas, 1);
	is_int(parsed_feed(&p, STR("<a/>"), &used), PARSER_RESTRICTED);
	is_int(p.stanzas, 1);
	ok(strlen(parser_error_text(p.parser)) > 0, "an explanation");
	parsed_clear(&p);
}

TEST(resting)
{
	struct parsed p;
	uint64_t calls;

	parsed_init(&p, PARSED_LIMITS);
	ok(parser_is_idle(p.parser), "before the first byte");
	parsed_feed(&p, STR("<stream"), NULL);
	ok(!parser_is_idle(p.parser), "inside the header");
	parsed_feed(&p, str_c(&PARSED_HEADER[7]), NULL);
	ok(parser_is_idle(p.parser), "after the header");
	parsed_feed(&p, STR("<message>"), NULL);
	ok(!parser_is_idle(p.parser), "inside a stanza");
	parser_pool_clear();
	calls = parser_expat_calls();
	parsed_feed(&p, STR("</message>"), NULL);
	ok(parser_is_idle(p.parser), "after the stanza");
	is_int(parser_expat_calls() - calls, 2); /* one to prime a new object, one for the stanza */
	parsed_feed(&p, STR("<message/>"), NULL);
	is_int(parser_expat_calls() - calls, 3);
	for (int i = 0; i < 100; i++)
		parsed_feed(&p, STR(" \n"), NULL);
	is_int(parser_expat_calls() - calls, 3); /* keep-alives cost nothing */
	ok(parser_is_idle(p.parser), "after white space");
	parser_pool_clear();
	parsed_clear(&p);
}

static void *feed_elsewhere(void *ctx)
{
	struct parsed *p = ctx;
	parsed_feed(p, STR("/><b/></stream:stream>"), NULL);
	return NULL; /* the pool of this thread goes with it: LeakSanitizer looks */
}

TEST(a_parser_may_change_threads)
{
	struct parsed p;
	pthread_t t;

	parsed_init(&p, PARSED_LIMITS);
	parsed_feed(&p, STR(PARSED_HEADER "<a"), NULL);
	require(pthread_create(&t, NULL, feed_elsewhere, &p) == 0, "thread");
	pthread_join(t, NULL);
	is_int(p.stanzas, 2);
	is_int(p.closed, 1);
	parsed_clear(&p);
}

TEST(used_up_objects_are_replaced)
{
	/* expat keeps every name for ever: 30,000 stanzas with names of their own must not grow one object without
	 * end */
	struct parsed p;
	char stanza[64];
	uint64_t calls = parser_expat_calls();

	parsed_init(&p, PARSED_LIMITS);
	parsed_feed(&p, STR(PARSED_HEADER), NULL);
	for (int i = 0; i < 30000; i++) {
		int n = snprintf(stanza, sizeof stanza, "<n%d/>", i);
		parsed_feed(&p, str_of(stanza, (size_t)n), NULL);
		buf_reset(&p.log);
	}
	is_int(p.stanzas, 30000);
	calls = parser_expat_calls() - calls;
	ok(calls >= 30003 && calls <= 30010, "primed anew some times: %llu calls", (unsigned long long)calls);
	parsed_clear(&p);
}

TEST(documents)
{
	static const struct {
		const char *bytes;
		int error;
	} rows[] = {
		{ "<a/>", 0 },
		{ " <a><b/>x</a>\n", 0 },
		{ "<?xml version='1.0'?><a/>", 0 },
		{ "\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>\n<a/>", 0 },
		{ "<body xmlns='http://jabber.org/protocol/httpbind'><message xmlns='jabber:client'/></body>", 0 },
		{ "", NOT_WF },
		{ " ", NOT_WF },
		{ "<a>", NOT_WF },
		{ "<a", NOT_WF },
		{ "<a/", NOT_WF },
		{ "<a></a", NOT_WF },
		{ "</a>", NOT_WF },
		{ "</d>", NOT_WF },
		{ "</d><d>", NOT_WF },
		{ "<a></d>", NOT_WF },
		{ "<a/><b/>", NOT_WF },
		{ "<a/>x", NOT_WF },
		{ "<a/><!DOCTYPE a>", PARSER_RESTRICTED }, /* M10: expat alone refuses it as a syntax error only */
		{ "<a/><!-- -->", PARSER_RESTRICTED },
		{ "<a/><?x?>", PARSER_RESTRICTED },
		{ "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", PARSER_RESTRICTED },
		{ "<!-- --><a/>", PARSER_RESTRICTED },
		{ "<a><!-- --></a>", PARSER_RESTRICTED },
		{ "<?xml version='1.0' encoding='koi8-r'?><a/>", PARSER_ENCODING },
		{ "\xff\xfe<", PARSER_ENCODING },
		{ "<p:a/>", PARSER_BAD_NAMESPACE },
		{ "<stream:a/>", PARSER_BAD_NAMESPACE }, /* no prefix is known by itself */
	};
	struct arena *a = arena_new(4096);
	struct parser_limits l = PARSED_LIMITS;
	struct node *n;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int err = parse_document(a, str_c(rows[i].bytes), &l, &n);
		ok(err == rows[i].error && !n == !!err, "%s: %d", rows[i].bytes, err);
	}
	require(parse_document(a, str_c(rows[4].bytes), &l, &n) == 0, "a BOSH body");
	is_str(n->ns_str, STR("http://jabber.org/protocol/httpbind"));
	ok(node_is(node_first(n), A_message, NS_CLIENT), "its stanza");
	require(parse_document(a, STR("<message/>"), &l, &n) == 0, "no default namespace");
	is_int(n->ns, NS_NONE);
	arena_free(a);
	parser_pool_clear();
}
