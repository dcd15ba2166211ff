/*
 * BOSH over two connections (XEP-0124, XEP-0206; row W02). First byte: bit 0 a login comes first, the others: size of the pieces. The rest are lines,
 * each a request: its first character says by which connection (a, b), or that ten seconds pass (t) or a connection breaks (x, y); in the rest '#' becomes
 * the next request id, '=' the same one again and '$' the id of the session. What comes back are whole HTTP answers, each body one well-formed element.
 */
#include "bosh/bosh.h"
#include "fuzz/answers.h"
#include "fuzz/world.h"
#include <assert.h>

#define TAG(more) "<body xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' rid='#' sid='$'" more
#define CREATE                                                                                                         \
	"a<body xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' rid='#' to='example.org' "     \
	"wait='60' hold='1' xmpp:version='1.0'/>\n"
#define LOGIN                                                                                                          \
	CREATE "a" TAG(                                                                                                \
		"><auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' "                                                     \
		"mechanism='PLAIN'>AGFubmEAYW5uYQ==</auth></body>\n") "a" TAG(" xmpp:restart='true'/>\n") "a" TAG("><" \
														  "iq" \
														  " t" \
														  "yp" \
														  "e=" \
														  "'s" \
														  "et" \
														  "' " \
														  "id" \
														  "='" \
														  "b'" \
														  ">"  \
														  "<b" \
														  "in" \
														  "d " \
														  "xm" \
														  "ln" \
														  "s=" \
														  "'u" \
														  "rn" \
														  ":i" \
														  "et" \
														  "f:" \
														  "pa" \
														  "ra" \
														  "ms" \
														  ":x" \
														  "ml" \
														  ":n" \
														  "s:" \
														  "xm" \
														  "pp" \
														  "-b" \
														  "in" \
														  "d'" \
														  "><" \
														  "re" \
														  "so" \
														  "ur" \
														  "ce" \
														  ">f" \
														  "</" \
														  "re" \
														  "so" \
														  "ur" \
														  "ce" \
														  "><" \
														  "/b" \
														  "in" \
														  "d>" \
														  "</" \
														  "iq" \
														  "><" \
														  "/b" \
														  "od" \
														  "y>" \
														  "\n")
enum { INPUTS_PER_WORLD = 500 };

static struct conn *conns[2];
static char sid[64];
static unsigned rid;

static void do_accept(void *arg)
{
	static const struct http_listener listener = { .handle = route_request, .head = route_head };

	(void)arg;
	http_accept(&listener, -1);
}

/* Looks at everything that came by a connection; remembers the newest session. */
static void do_check(void *arg)
{
	struct str out = fake_conn_output(arg), head, body;

	while (out.n) {
		bool whole = answers_take(&out, &head, &body);
		assert(whole);
		if (!answers_have(head, "text/xml"))
			continue;
		answers_check_element(body);
		const char *at = memmem(body.p, body.n, " sid='", 6);
		const char *end = at ? memchr(at + 6, '\'', (size_t)(body.p + body.n - at) - 6) : NULL;
		if (end && end - at - 6 < (ptrdiff_t)sizeof sid)
			snprintf(sid, sizeof sid, "%.*s", (int)(end - at - 6), at + 6);
	}
	fake_conn_forget(arg);
}

static void break_off(unsigned i)
{
	if (!conns[i])
		return;
	world_run(do_check, conns[i]);
	world_hang_up(conns[i]);
	conns[i] = NULL;
}

static void print_request(struct buf *out, struct str line)
{
	struct buf body;

	buf_init(&body, 1 << 20);
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == '#')
			buf_printf(&body, "%u", ++rid);
		else if (line.p[i] == '=' && i && line.p[i - 1] == '\'')
			buf_printf(&body, "%u", rid);
		else if (line.p[i] == '$')
			buf_str_add(&body, str_c(sid));
		else
			buf_add(&body, line.p + i, 1);
	}
	buf_printf(out,
		   "POST /bosh HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: "
		   "%zu\r\n\r\n",
		   body.n);
	buf_str_add(out, buf_str(&body));
	buf_clear(&body);
}

static void send_line(unsigned i, struct str line, size_t piece)
{
	struct buf b;

	if (conns[i] && fake_conn_is_closed(conns[i]))
		break_off(i);
	if (!conns[i])
		conns[i] = world_connect(do_accept);
	buf_init(&b, 2 << 20);
	print_request(&b, line);
	world_feed(conns[i], buf_str(&b), piece);
	for (unsigned k = 0; k < 2; k++)
		if (conns[k])
			world_run(do_check, conns[k]);
	buf_clear(&b);
}

static void play(struct str lines, size_t piece)
{
	struct str line;

	while (lines.p && str_split(&lines, '\n', &line)) {
		if (!line.n || line.n > 262144)
			continue;
		switch (line.p[0]) {
		case 't': world_tick(); break;
		case 'x': break_off(0); break;
		case 'y': break_off(1); break;
		default: send_line(line.p[0] & 1 ? 0 : 1, str_of(line.p + 1, line.n - 1), piece);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct route *const tables[] = { bosh_routes, NULL };
	static unsigned inputs;

	if (n < 2)
		return 0;
	if (inputs++ % INPUTS_PER_WORLD == 0) {
		if (inputs > 1)
			world_stop();
		route_init(tables);
		world_start();
	}
	world_tick();
	rid = 1000;
	sid[0] = '\0';
	if (data[0] & 1) {
		play(STR(LOGIN), 1000);
		assert(sid[0]);
	}
	play(str_of((const char *)data + 1, n - 1), 1 + (data[0] >> 1) * 3u);
	break_off(0);
	break_off(1);
	return 0;
}
