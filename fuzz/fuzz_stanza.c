/*
 * The whole XMPP side on one worker with a mock clock: bytes of a logged-in client go through parser, stream, router and every
 * handler, the writer and a memory store. Nothing may crash, leak or hang, and all that the server sends, to the client and to a
 * second one who listens, must be well-formed (X12). First byte: administrator or not, size of the pieces; the rest: stanzas.
 */
#include "base/clock.h"
#include "base/log.h"
#include "fuzz/fake_conn.h"
#include "server/im/account.h"
#include "server/im/inflight.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/net/threads.h"
#include "server/xmpp/handlers.h"
#include "server/xmpp/roster.h"
#include "server/xmpp/session_xmpp.h"
#include "tests/lib/im_rig.h"
#include "xml/parser.h"
#include <assert.h>

#define HEADER                                                                                                         \
	"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' "       \
	"version='1.0'>"
enum { INPUTS_PER_RIG = 500 };

static const struct stream_listener listener = { .security = STREAM_LOCAL };
static uint64_t now_us = 1800000000000000;
static struct conn *boris;

struct step {
	struct conn *c;
	struct str bytes;
	size_t piece;
	bool ok;
};

static void do_accept(void *arg)
{
	stream_accept(&listener, -1);
	((struct step *)arg)->c = fake_conn_last();
}

static void do_feed(void *arg)
{
	struct step *s = arg;

	s->ok = true;
	for (size_t at = 0; at < s->bytes.n && s->ok; at += s->piece)
		s->ok = fake_conn_feed(s->c, s->bytes.p + at, s->bytes.n - at < s->piece ? s->bytes.n - at : s->piece);
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
	struct step *s = arg;
	struct parser *p = parser_new(&events, NULL, &limits);
	struct arena *a = arena_new(65536);
	struct str out = fake_conn_output(s->c);
	size_t used;

	int err = parser_feed(p, a, HEADER, sizeof(HEADER) - 1, &used);
	assert(!err);
	err = parser_feed(p, a, out.p, out.n, &used);
	if (err)
		fprintf(stderr, "sent (%s): %.*s\n", parser_error_text(p), STR_ARG(out));
	assert(!err);
	parser_free(p);
	arena_free(a);
	fake_conn_forget(s->c);
}

static void do_hang_up(void *arg)
{
	fake_conn_hang_up(((struct step *)arg)->c);
}
static void do_free(void *arg)
{
	fake_conn_free(((struct step *)arg)->c);
}
static void do_forget(void *arg)
{
	fake_conn_forget(((struct step *)arg)->c);
}

static bool feed(struct step *s, struct str bytes, size_t piece)
{
	s->bytes = bytes;
	s->piece = piece;
	rig_run(0, do_feed, s);
	rig_settle();
	return s->ok;
}

static void hang_up(struct step *s)
{
	rig_run(0, do_hang_up, s);
	rig_settle();
	rig_run(0, do_free, s);
}

/* Login by PLAIN, one resource, <enable/>; false when the account is no more. */
static bool login(struct step *s, struct str plain)
{
	char auth[300];

	rig_run(0, do_accept, s);
	snprintf(auth, sizeof(auth), "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%.*s</auth>",
		 STR_ARG(plain));
	bool ok = feed(s, STR(HEADER), 1000) && feed(s, str_c(auth), 1000);
	struct str out = fake_conn_output(s->c);
	ok = ok && memmem(out.p, out.n, "<success", 8);
	if (!ok) {
		hang_up(s);
		return false;
	}
	feed(s,
	     STR(HEADER "<iq type='set' id='b'><bind "
			"xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>f</resource></bind></iq>"),
	     1000);
	rig_run(0, do_forget, s);
	return true;
}

static void on_worker_start(void *arg)
{
	(void)arg;
	home_init(0);
	streams_thread_init();
	xsessions_thread_init();
	sm_thread_init();
	presence_thread_init();
	org_thread_init();
}

static void on_worker_end(void *arg)
{
	(void)arg;
	xsessions_drop_all();
	loop_timer_cancel(loop_self(), &home()->dirty_timer);
	org_thread_fini();
	presence_thread_fini();
	sm_thread_fini();
	xsessions_thread_fini();
	streams_thread_fini();
	peer_thread_end();
	inflight_thread_end();
	home_fini();
	parser_pool_clear();
}

struct admin {
	struct account_op op;
	struct gate gate;
};
static void admin_done(void *ctx, int err, uint32_t id)
{
	(void)id;
	assert(!err);
	gate_open(&((struct admin *)ctx)->gate);
}
static void do_add_admin(void *arg)
{
	struct admin *a = arg;

	a->op = (struct account_op){
		.local = STR("root"), .password = STR("root"), .actor = STR("fuzz"), .is_admin = true
	};
	account_add(&a->op, admin_done, a);
}

static struct str plain_of(const char *local, char out[64])
{
	char raw[40];
	int n = snprintf(raw, sizeof(raw), "%c%s%c%s", 0, local, 0, local);

	return str_of(out, base64_encode(raw, (size_t)n, out));
}

/* anna and root, who are played by the input, and boris, who listens; each with his name as password. */
static void start(void)
{
	static bool first = true;
	struct step s;
	struct admin admin;
	char plain[64];

	if (first) {
		log_threshold = LOG_ERROR + 1;
		atom_init();
		handlers_init();
		presence_init();
		roster_handlers_init();
	}
	rig_start(1, NULL);
	struct err_msg msg;
	int err = first ? org_load(&msg) : 0; /* empty, kept for ever */
	assert(!err);
	first = false;
	rig_run(0, on_worker_start, NULL);
	err = rig_add("example.org", "anna", "anna") | rig_add("example.org", "boris", "boris");
	assert(!err);
	gate_init(&admin.gate);
	rig_run(0, do_add_admin, &admin);
	assert(gate_wait(&admin.gate));
	bool in = login(&s, plain_of("boris", plain));
	assert(in);
	boris = s.c;
	feed(&s, STR("<presence/><message to='anna@example.org' type='chat' id='1'><body>hi</body></message>"), 1000);
	feed(&s, STR("<presence to='anna@example.org' type='subscribe'/>"), 1000);
}

static void stop(void)
{
	struct step s = { .c = boris };

	hang_up(&s);
	rig_run(0, on_worker_end, NULL);
	rig_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static unsigned inputs;
	struct step s, listening;
	char plain[64];

	if (n < 2)
		return 0;
	if (inputs++ % INPUTS_PER_RIG == 0) {
		if (boris)
			stop();
		start();
	}
	clock_set_for_test(now_us, now_us);
	now_us += 10000000;
	if (!login(&s, plain_of(data[0] & 1 ? "root" : "anna",
				plain))) { /* the input before changed a password or deleted somebody */
		inputs = 0;
		return 0;
	}
	feed(&s, str_of((const char *)data + 1, n - 1), 1 + (data[0] >> 1));
	rig_settle();
	rig_run(0, do_check, &s);
	hang_up(&s);
	listening.c = boris;
	rig_run(0, do_check, &listening);
	if (fake_conn_is_closed(boris))
		inputs = 0;
	return 0;
}
