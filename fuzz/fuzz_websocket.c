/*
 * WebSocket from the upgrade on (RFC 6455, 7395; row X21). First byte: bit 0 the rest is raw bytes behind the upgrade, else lines; bit 1 a login
 * comes first; the others: size of the pieces. A line is one frame: its first character is the opcode (T text, C continuation, B binary, P ping,
 * O pong, X close; in lower case without FIN), the rest its payload. What comes back are whole frames as a server may send them, each message one
 * well-formed element, and nothing behind a close frame.
 */
#include "bosh/websocket.h"
#include "fuzz/answers.h"
#include "fuzz/world.h"
#include <assert.h>

#define UPGRADE                                                                                                        \
	"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"    \
	"Sec-WebSocket-Protocol: xmpp\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
#define OPEN "T<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.org' version='1.0'/>\n"
#define LOGIN                                                                                                          \
	OPEN "T<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubmEAYW5uYQ==</auth>\n" OPEN        \
	     "T<iq type='set' id='b'><bind "                                                                           \
	     "xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>f</resource></bind></iq>\n"
enum { FIN = 0x80, MASK = 0x80, INPUTS_PER_WORLD = 500 };

static void do_accept(void *arg)
{
	static const struct http_listener listener = { .handle = route_request, .head = route_head };

	(void)arg;
	http_accept(&listener, -1);
}

static void do_forget(void *arg)
{
	fake_conn_forget(arg);
}

/* The frame of a line, masked by zeros so that a mutation of the payload is one of the message. */
static void print_frame(struct buf *b, struct str line)
{
	static const char kinds[] = "CTB.....XPO"; /* by opcode */
	char upper = (char)(line.p[0] & ~0x20);
	const char *kind = strchr(kinds, upper);
	uint8_t opcode = kind && upper ? (uint8_t)(kind - kinds) : (uint8_t)(upper & 0xf);
	size_t n = line.n - 1;
	uint8_t head[14] = { (uint8_t)(opcode | (line.p[0] & 0x20 ? 0 : FIN)) };

	if (n < 126) {
		head[1] = (uint8_t)(MASK | n);
		buf_add(b, head, 6);
	} else {
		head[1] = MASK | 126;
		head[2] = (uint8_t)(n >> 8);
		head[3] = (uint8_t)n;
		buf_add(b, head, 8);
	}
	buf_add(b, line.p + 1, n);
}

static bool feed_lines(struct conn *c, struct str lines, size_t piece)
{
	struct str line;
	bool open = true;

	while (open && lines.p && str_split(&lines, '\n', &line)) {
		struct buf b;
		if (!line.n || line.n > UINT16_MAX)
			continue;
		buf_init(&b, 1 << 20);
		print_frame(&b, line);
		open = world_feed(c, buf_str(&b), piece);
		buf_clear(&b);
	}
	return open;
}

/* Takes a frame of the server off; its opcode. */
static unsigned take_frame(struct str *s, struct str *out_payload)
{
	const uint8_t *p = (const uint8_t *)s->p;
	size_t n = s->n >= 2 ? p[1] : 255, head = n == 127 ? 10 : n == 126 ? 4 : 2;

	assert(n <= 127 && (p[0] & 0xf0) == FIN && s->n >= head);
	if (head > 2)
		n = 0;
	for (size_t i = 2; i < head; i++)
		n = n << 8 | p[i];
	assert(n <= s->n - head);
	*out_payload = str_of(s->p + head, n);
	*s = str_of(s->p + head + n, s->n - head - n);
	return p[0] & 0xf;
}

static void do_check(void *arg)
{
	struct str out = fake_conn_output(arg), payload;
	bool closed = false;

	while (out.n) {
		assert(!closed);
		unsigned opcode = take_frame(&out, &payload);
		assert(opcode == 1 || (opcode >= 8 && opcode <= 10 && payload.n <= 125));
		closed = opcode == 8;
		if (opcode == 1)
			answers_check_element(payload);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct route *const tables[] = { websocket_routes, NULL };
	static unsigned inputs;
	static bool running;

	if (n < 2)
		return 0;
	if (inputs++ % INPUTS_PER_WORLD == 0) {
		if (running)
			world_stop();
		route_init(tables);
		world_start();
		running = true;
	}
	world_tick();
	struct conn *c = world_connect(do_accept);
	bool open = world_feed(c, STR(UPGRADE), 1000);
	assert(open && str_starts(fake_conn_output(c), STR("HTTP/1.1 101 ")));
	world_run(do_forget, c);
	if (data[0] & 2 && !feed_lines(c, STR(LOGIN), 1000))
		inputs = 0; /* the input before changed the password */
	struct str rest = str_of((const char *)data + 1, n - 1);
	size_t piece = 1 + (data[0] >> 2) * 3u;
	if (data[0] & 1)
		world_feed(c, rest, piece);
	else
		feed_lines(c, rest, piece);
	world_feed(c, STR(""), 1);
	world_run(do_check, c);
	world_hang_up(c);
	return 0;
}
