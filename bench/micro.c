/*
 * Micro benchmarks, in this process, no network: what one stanza costs the parser and the printer, an address jid_parse, a
 * fan-out the output queues, a stored message the writer at several batch sizes (with LMDB's full sync on a real disk).
 * Prints nanoseconds per operation. Callable as `bench/run micro`; `micro NAME` runs those whose name begins so.
 */
#include "bench/rig.h"
#include "base/chunk.h"
#include "base/clock.h"
#include "xml/build.h"
#include "xml/jid.h"
#include "xml/parser.h"
#include "xml/print.h"
#include <unistd.h>

#define LITERAL(text)                                                                                                  \
	{                                                                                                              \
		"" text, sizeof(text) - 1                                                                              \
	} /* STR() is no constant */
#define STREAM                                                                                                         \
	"<stream:stream to='example.org' version='1.0' xmlns='jabber:client' "                                         \
	"xmlns:stream='http://etherx.jabber.org/streams'>"
#define MESSAGE                                                                                                        \
	"<message to='anna.petrova@example.org' type='chat' id='ab1f0c'><body>The quarterly figures are on the "       \
	"share, please "                                                                                               \
	"have a look before the meeting.</body><request xmlns='urn:xmpp:receipts'/><markable "                         \
	"xmlns='urn:xmpp:chat-markers:0'/>"                                                                            \
	"<active xmlns='http://jabber.org/protocol/chatstates'/><origin-id xmlns='urn:xmpp:sid:0' "                    \
	"id='ab1f0c'/></message>"
#define PRESENCE                                                                                                       \
	"<presence><show>away</show><status>at lunch</status><priority>5</priority><c "                                \
	"xmlns='http://jabber.org/protocol/caps' "                                                                     \
	"hash='sha-1' node='https://gajim.org' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/></presence>"
#define IQ_PING "<iq type='get' id='p17' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"
#define IQ_MAM                                                                                                         \
	"<iq type='set' id='m1'><query xmlns='urn:xmpp:mam:2' queryid='q'><x xmlns='jabber:x:data' "                   \
	"type='submit'><field "                                                                                        \
	"var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field><field "                                   \
	"var='with'><value>anna.petrova@example.org</value>"                                                           \
	"</field></x><set xmlns='http://jabber.org/protocol/rsm'><max>50</max><before/></set></query></iq>"

static const struct parser_limits limits = {
	.stanza_bytes = 262144, .token_bytes = 16384, .depth = 64, .elements = 4000, .attributes = 64, .namespaces = 16
};
static const struct str stanzas[] = { LITERAL(MESSAGE), LITERAL(PRESENCE), LITERAL(IQ_PING), LITERAL(IQ_MAM) };
static const char *const stanza_names[] = { "message", "presence", "iq ping", "iq archive query" };
enum { N_STANZAS = 4, FAN_OUT = 50 };

static void say(const char *name, const char *detail, double ns, const char *unit)
{
	printf("%-8s %-34s %10.0f ns per %s\n", name, detail, ns, unit);
	fflush(stdout);
}

/* Repeats fn, which does `each` operations a call, for about 0.3 s; ns per operation. */
static double timed(void (*fn)(void *), void *ctx, unsigned each)
{
	fn(ctx);
	uint64_t begin = clock_mono_us(), now, calls = 0;
	do {
		for (unsigned i = 0; i < 16; i++)
			fn(ctx);
		calls += 16;
	} while ((now = clock_mono_us()) - begin < 300000);
	return (double)(now - begin) * 1000 / (double)calls / each;
}

/* ---- parser and printer ---- */
struct parse {
	struct arena *a;
	struct parser *p;
	struct str bytes;
	unsigned seen;
};

static void parse_open(void *ctx, struct node *header)
{
	(void)ctx;
	(void)header;
}

static void parse_stanza(void *ctx, struct node *stanza)
{
	struct parse *x = ctx;
	x->seen += stanza != NULL;
}

static void parse_close(void *ctx)
{
	(void)ctx;
}

static void parse_once(void *ctx)
{
	struct parse *x = ctx;
	size_t used;
	unsigned before = x->seen;
	if (parser_feed(x->p, x->a, x->bytes.p, x->bytes.n, &used) != PARSER_OK || x->seen != before + 1)
		abort();
	arena_reset(x->a);
}

static void bench_parse(void)
{
	static const struct parser_events events = { parse_open, parse_stanza, parse_close };
	for (unsigned i = 0; i < N_STANZAS; i++) {
		struct parse x = { .a = arena_new(16384), .bytes = stanzas[i] };
		size_t used;
		x.p = parser_new(&events, &x, &limits);
		if (parser_feed(x.p, x.a, STREAM, sizeof STREAM - 1, &used) != PARSER_OK)
			abort();
		say("parse", stanza_names[i], timed(parse_once, &x, 1), "stanza");
		parser_free(x.p);
		arena_free(x.a);
	}
	parser_pool_clear();
}

struct print {
	struct buf b;
	struct node *n;
};

static void print_once(void *ctx)
{
	struct print *x = ctx;
	buf_reset(&x->b);
	print_node(&x->b, x->n, STR(""));
}

static void bench_print(void)
{
	for (unsigned i = 0; i < N_STANZAS; i++) {
		struct arena *a = arena_new(16384);
		struct print x = { 0 };
		buf_init(&x.b, 65536);
		if (parse_document(a, stanzas[i], &limits, &x.n) != PARSER_OK)
			abort();
		say("print", stanza_names[i], timed(print_once, &x, 1), "stanza");
		buf_clear(&x.b);
		arena_free(a);
	}
}

/* ---- addresses ---- */
struct address {
	struct arena *a;
	struct str text;
};

static void jid_once(void *ctx)
{
	struct address *x = ctx;
	struct jid j;
	if (jid_parse(x->a, x->text, &j) != 0)
		abort();
	arena_reset(x->a);
}

static void bench_jid(void)
{
	static const struct str texts[] = { LITERAL("anna.petrova@example.org/Gajim.K2"),
					    LITERAL("Anna.Petrova@Example.ORG/Gajim.K2"),
					    LITERAL("Анна.Петрова@пример.рф/дома") };
	static const char *const names[] = { "ASCII, nothing to change", "ASCII, capitals", "Cyrillic, capitals" };
	for (unsigned i = 0; i < 3; i++) {
		struct address x = { arena_new(16384), texts[i] };
		say("jid", names[i], timed(jid_once, &x, 1), "address");
		arena_free(x.a);
	}
}

/* ---- one payload to many queues: a start tag of its own for each, the rest shared ---- */
static void fan_once(void *ctx)
{
	struct outq *q = ctx;
	static const char rest[] =
		"<body>The quarterly figures are on the share, please have a look before the meeting.</body>"
		"<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/><origin-id "
		"xmlns='urn:xmpp:sid:0' id='ab1f0c'/>"
		"<stanza-id xmlns='urn:xmpp:sid:0' id='5c2b0a6f2d' by='anna.petrova@example.org'/></message>";
	struct chunk *c = chunk_of(str_of(rest, sizeof rest - 1));
	struct iovec iov[16];
	for (unsigned i = 0; i < FAN_OUT; i++) {
		int err = outq_add(&q[i], STR("<message from='boris@example.org/Gajim.K2' "
					      "to='anna.petrova@example.org/Gajim.K2' type='chat' id='ab1f0c'>"));
		err |= outq_add_chunk(&q[i], c, 0, c->n);
		if (err || outq_iov(&q[i], iov, 16) < 1)
			abort();
		outq_consume(&q[i], q[i].bytes);
	}
	chunk_unref(c);
}

static void bench_outq(void)
{
	struct outq q[FAN_OUT];
	for (unsigned i = 0; i < FAN_OUT; i++)
		outq_init(&q[i], 1 << 20);
	say("outq", "fan-out to 50, drained at once", timed(fan_once, q, FAN_OUT), "recipient");
	for (unsigned i = 0; i < FAN_OUT; i++)
		outq_clear(&q[i]);
}

/* ---- the writer: keeps `batch` messages under way for about a second; it may split them, the mean commit is shown ---- */
static void bench_writer(void)
{
	char dir[512], detail[80];
	const char *base = getenv("TMPDIR");
	snprintf(dir, sizeof dir, "%s/vestnik-micro-XXXXXX", base ? base : "/var/tmp");
	if (!mkdtemp(dir)) {
		fprintf(stderr, "micro: cannot make %s\n", dir);
		exit(1);
	}
	rig_open(dir, 500);
	for (unsigned batch = 1; batch <= 1000; batch *= 10) {
		uint64_t begin = clock_mono_us(), now;
		struct rig_counts before = rig_counts();
		do {
			rig_messages(batch, batch);
		} while ((now = clock_mono_us()) - begin < 1000000);
		struct rig_counts after = rig_counts();
		double n = (double)(after.messages - before.messages);
		snprintf(detail, sizeof detail, "%4u at a time (%.1f a commit)", batch,
			 n / (double)(after.commits - before.commits));
		say("writer", detail, (double)(now - begin) * 1000 / n, "message");
	}
	rig_close();
	rig_remove(dir);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} all[] = { { "parse", bench_parse },
		    { "print", bench_print },
		    { "jid", bench_jid },
		    { "outq", bench_outq },
		    { "writer", bench_writer } };
	const char *only = argc > 1 ? argv[1] : "";
	atom_init();
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (strncmp(all[i].name, only, strlen(only)) == 0)
			all[i].run();
	return 0;
}
