/*
 * The whole XMPP side on one worker with a mock clock: bytes of a logged-in client go through parser, stream, router and every
 * handler, the writer and a memory store. Nothing may crash, leak or hang, and all that the server sends, to the client and to a
 * second one who listens, must be well-formed (X12). First byte: administrator or not, size of the pieces; the rest: stanzas.
 */
#include "fuzz/world.h"
#include "server/xmpp/stream.h"
#include "xml/parser.h"
#include <assert.h>

#define HEADER                                                                                                         \
	"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' "       \
	"version='1.0'>"
#define BIND "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>f</resource></bind></iq>"
enum { INPUTS_PER_WORLD = 500 };

static const struct stream_listener listener = { .security = STREAM_LOCAL };
static struct conn *boris;

static void do_accept(void *arg)
{
	(void)arg;
	stream_accept(&listener, -1);
}

static void on_node(void *ctx, struct node *n)
{
	(void)ctx, (void)n;
}
static void on_close(void *ctx)
{
	(void)ctx;
}

/* What was sent since binding is a legal continuation of a stream. */
static void do_check(void *arg)
{
	static const struct parser_events events = { on_node, on_node, on_close };
	static const struct parser_limits limits = { 32 << 20, 16 << 20, 1000, 1000000, 1000, 1000 };
	struct parser *p = parser_new(&events, NULL, &limits);
	struct arena *a = arena_new(65536);
	struct str out = fake_conn_output(arg);
	size_t used;

	int err = parser_feed(p, a, HEADER, sizeof(HEADER) - 1, &used);
	assert(!err);
	err = parser_feed(p, a, out.p, out.n, &used);
	if (err)
		fprintf(stderr, "sent (%s): %.*s\n", parser_error_text(p), STR_ARG(out));
	assert(!err);
	parser_free(p);
	arena_free(a);
	fake_conn_forget(arg);
}

static void do_forget(void *arg)
{
	fake_conn_forget(arg);
}

/* Login by PLAIN, one resource; NULL when the account is no more or has another password. */
static struct conn *login(const char *name)
{
	char raw[40], plain[64], auth[300];
	int n = snprintf(raw, sizeof(raw), "%c%s%c%s", 0, name, 0, name);
	struct conn *c = world_connect(do_accept);

	snprintf(auth, sizeof(auth), "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%.*s</auth>",
		 (int)base64_encode(raw, (size_t)n, plain), plain);
	bool ok = world_feed(c, STR(HEADER), 1000) && world_feed(c, str_c(auth), 1000);
	struct str out = fake_conn_output(c);
	if (!ok || !memmem(out.p, out.n, "<success", 8)) {
		world_hang_up(c);
		return NULL;
	}
	world_feed(c, STR(HEADER BIND), 1000);
	world_run(do_forget, c);
	return c;
}

static void start_again(void)
{
	if (boris) {
		world_hang_up(boris);
		world_stop();
	}
	world_start();
	boris = login("boris");
	assert(boris);
	world_feed(boris, STR("<presence/><presence to='anna@example.org' type='subscribe'/>"), 1000);
	world_feed(boris, STR("<message to='anna@example.org' type='chat' id='1'><body>hi</body></message>"), 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static unsigned inputs;

	if (n < 2)
		return 0;
	if (inputs++ % INPUTS_PER_WORLD == 0)
		start_again();
	world_tick();
	struct conn *c = login(data[0] & 1 ? "root" : "anna");
	if (!c) { /* the input before changed a password or deleted somebody */
		inputs = 0;
		return 0;
	}
	world_feed(c, str_of((const char *)data + 1, n - 1), 1 + (data[0] >> 1));
	world_feed(c, STR(""), 1); /* what the answers started */
	world_run(do_check, c);
	world_hang_up(c);
	world_run(do_check, boris);
	if (fake_conn_is_closed(boris))
		inputs = 0;
	return 0;
}
